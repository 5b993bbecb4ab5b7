"""Pretrained encoders are downloaded from the hub and verified; without the hub, the message says what to do."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from mmrag.embedding import VisualizedBGE, hub
from mmrag.embedding.hub import PRETRAINED_MODELS, TEXT_FILES, WEIGHTS_REPO
from mmrag.embedding.visualized_bge import checkpoint, model
from mmrag.embedding.visualized_bge.checkpoint import read_vision_config
from mmrag.errors import CheckpointError, SettingError

NAME = "base-en-v1.5"


@pytest.fixture
def published(base, monkeypatch):
    """The base variant, as if the golden encoder were what is published under its name."""
    weights = (base.folder / "Visualized_tiny.pth").read_bytes()
    tiny = dataclasses.replace(
        PRETRAINED_MODELS[NAME],
        size=len(weights),
        sha256=hashlib.sha256(weights).hexdigest(),
        vision_config=read_vision_config(base.folder / "vision_config.json"),
    )
    for module in (hub, checkpoint, model):
        monkeypatch.setattr(module, "PRETRAINED_MODELS", {NAME: tiny})
    return tiny


@pytest.fixture
def fetched(base, published, tmp_path, monkeypatch):
    """Requests to the hub, which returns the golden files."""
    requests = []

    def hf_hub_download(repo, file, *, revision=None, local_files_only=False):
        if local_files_only:
            raise LocalEntryNotFoundError("the cache is empty")
        requests.append((repo, file, revision))
        source = "Visualized_tiny.pth" if repo == WEIGHTS_REPO else f"text/{file}"
        path = tmp_path / repo / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copy(base.folder / source, path))

    monkeypatch.setattr(hub, "hf_hub_download", hf_hub_download)
    return requests


def test_weights_and_text_files_come_from_their_repositories(fetched, base):
    encoder = VisualizedBGE.from_pretrained(NAME, device="cpu", revision="f00d")
    assert base.error(encoder) <= 1e-5
    assert encoder.info.name == NAME
    assert fetched == [
        *(("BAAI/bge-base-en-v1.5", file, None) for file in TEXT_FILES),
        ("BAAI/bge-visualized", "Visualized_base_en_v1.5.pth", "f00d"),
    ]


def test_cached_files_need_no_request_to_the_hub(fetched, monkeypatch):
    fetch = hub.hf_hub_download

    def hf_hub_download(repo, file, *, revision=None, local_files_only=False):
        assert local_files_only
        return fetch(repo, file, revision=revision)

    monkeypatch.setattr(hub, "hf_hub_download", hf_hub_download)
    VisualizedBGE.from_pretrained(NAME)


def test_an_incomplete_download_is_refused(fetched, published, monkeypatch):
    longer = dataclasses.replace(published, size=published.size + 1)
    monkeypatch.setattr(hub, "PRETRAINED_MODELS", {NAME: longer})
    with pytest.raises(CheckpointError, match=f"{published.size:,} bytes.*{longer.size:,}.*Delete"):
        VisualizedBGE.from_pretrained(NAME)


def test_a_file_with_another_sha256_is_refused(fetched, published, monkeypatch):
    other = dataclasses.replace(published, sha256="0" * 64)
    monkeypatch.setattr(hub, "PRETRAINED_MODELS", {NAME: other})
    with pytest.raises(CheckpointError, match=f"sha256 {published.sha256}.*{'0' * 64}"):
        VisualizedBGE.from_pretrained(NAME)


def test_an_unknown_hash_is_not_compared(fetched, published, monkeypatch):
    monkeypatch.setattr(hub, "PRETRAINED_MODELS", {NAME: dataclasses.replace(published, sha256=None)})
    VisualizedBGE.from_pretrained(NAME)


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), OSError("no space"), ValueError("revision")])
def test_without_the_hub_the_message_says_where_to_put_the_files(published, monkeypatch, error):
    def hf_hub_download(*args, local_files_only=False, **kwargs):
        raise LocalEntryNotFoundError("the cache is empty") if local_files_only else error

    monkeypatch.setattr(hub, "hf_hub_download", hf_hub_download)
    with pytest.raises(CheckpointError) as caught:
        VisualizedBGE.from_pretrained(NAME)
    for part in (str(error), "by hand", published.weights_file, WEIGHTS_REPO, *TEXT_FILES, "text/"):
        assert part in str(caught.value)


def test_the_real_hub_client_fails_with_our_error_when_there_is_no_network():
    with pytest.raises(CheckpointError, match="by hand"):
        VisualizedBGE.from_pretrained("m3")


def test_files_placed_by_hand_need_no_vision_config(base, published, tmp_path):
    shutil.copytree(base.folder / "text", tmp_path / "text")
    shutil.copy(base.folder / "Visualized_tiny.pth", tmp_path / published.weights_file)
    assert base.error(VisualizedBGE.from_pretrained(tmp_path, device="cpu")) <= 1e-5


def test_the_pretrained_models_have_the_published_sizes():
    base, m3 = PRETRAINED_MODELS["base-en-v1.5"], PRETRAINED_MODELS["m3"]
    assert (base.size, m3.size) == (392_860_018, 1_746_155_890)
    assert (base.vision_config.tokens, m3.vision_config.tokens) == (196, 256)
    hidden = [int(v.vision_config.width * v.vision_config.mlp_ratio) for v in (base, m3)]
    assert hidden == [2048, 2730]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(CheckpointError, match=r"'bge-large'.*base-en-v1\.5, m3 and demo"):
        VisualizedBGE.from_pretrained("bge-large")


def test_a_missing_demo_encoder_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr(model, "_DEMO", tmp_path / "demo")
    with pytest.raises(CheckpointError, match=r"python -m examples\.train_demo_models encoder"):
        VisualizedBGE.from_pretrained("demo")


def test_a_revision_of_a_folder_is_refused(base):
    with pytest.raises(SettingError, match="revision 'main' means nothing"):
        VisualizedBGE.from_pretrained(base.folder, revision="main")


@pytest.mark.parametrize(("setting", "value"), [("device", "cuda:99"), ("device", "toaster"), ("dtype", "int8")])
def test_an_impossible_setting_is_refused(base, setting, value):
    with pytest.raises(SettingError, match=f"{setting} '{value}'"):
        VisualizedBGE.from_pretrained(base.folder, **{setting: value})


def test_bfloat16_stays_close_and_unit_length(base):
    encoder = VisualizedBGE.from_pretrained(base.folder, device="cpu", dtype="bfloat16")
    vectors = encoder.encode(base.items)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert 1e-5 < np.abs(vectors - base.expected).max() < 2e-2
