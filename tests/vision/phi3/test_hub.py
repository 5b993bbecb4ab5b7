"""A name or a folder in, a folder out; what cannot be had is explained."""

from __future__ import annotations

import pytest

from mmrag.errors import CheckpointError
from mmrag.vision.phi3 import hub


def test_a_folder_is_itself(tmp_path):
    assert hub.find_checkpoint(tmp_path) == tmp_path
    assert hub.find_checkpoint(str(tmp_path)) == tmp_path


def test_a_repository_is_fetched_without_its_code(tmp_path, monkeypatch):
    asked = {}

    def snapshot(repo, **options):
        asked.update(options, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    name = hub.PUBLISHED[0]
    assert hub.find_checkpoint(name, revision="abc") == tmp_path
    assert (asked["repo"], asked["revision"]) == (name, "abc")
    assert not any(pattern.endswith((".py", "*")) for pattern in asked["allow_patterns"])


def test_an_unreachable_hub_says_what_to_place_by_hand():
    with pytest.raises(CheckpointError, match=r"(?s)revision 'abc' cannot be fetched .* in a folder"):
        hub.find_checkpoint(hub.PUBLISHED[0], revision="abc")


def test_a_missing_demo_says_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "DEMO", tmp_path / "demo")
    with pytest.raises(CheckpointError, match=r"examples.train_demo_models reranker"):
        hub.find_checkpoint("demo")


@pytest.mark.parametrize("name", ["nowhere", "./a/b", "/no/such", "a/b/c"])
def test_a_path_that_does_not_exist_is_no_repository(name):
    with pytest.raises(CheckpointError, match="there is no folder"):
        hub.find_checkpoint(name)
