"""Checkpoints are found by name or folder; a missing one is explained."""

from __future__ import annotations

import pytest

from mmrag.errors import CheckpointError
from mmrag.vision.phi3 import hub


def test_a_folder_is_returned_as_given(tmp_path):
    assert hub.find_checkpoint(tmp_path) == tmp_path
    assert hub.find_checkpoint(str(tmp_path)) == tmp_path


def test_a_repository_is_downloaded_without_its_code(tmp_path, monkeypatch):
    asked = {}

    def snapshot(repo, **options):
        asked.update(options, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    name = hub.PRETRAINED_MODELS[0]
    assert hub.find_checkpoint(name, revision="abc") == tmp_path
    assert (asked["repo"], asked["revision"]) == (name, "abc")
    assert not any(pattern.endswith((".py", "*")) for pattern in asked["allow_patterns"])


def test_an_unreachable_hub_lists_the_files_to_place_by_hand():
    with pytest.raises(CheckpointError, match=r"(?s)revision 'abc' cannot be downloaded .* in a folder"):
        hub.find_checkpoint(hub.PRETRAINED_MODELS[0], revision="abc")


def test_a_missing_demo_says_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "DEMO_FOLDER", tmp_path / "demo")
    with pytest.raises(CheckpointError, match=r"examples.train_demo_models reranker"):
        hub.find_checkpoint("demo")


@pytest.mark.parametrize("name", ["nowhere", "./a/b", "/no/such", "a/b/c"])
def test_a_path_that_does_not_exist_is_no_repository(name):
    with pytest.raises(CheckpointError, match="there is no folder"):
        hub.find_checkpoint(name)
