"""`load_encoder` chooses the encoder by name or folder layout and refuses everything else with the names."""

from __future__ import annotations

import numpy as np
import pytest

import mmrag
from mmrag.embedding.visualized_bge.model import VisualizedBGE
from mmrag.errors import CheckpointError


def test_a_folder_in_the_layout_of_visualized_bge_is_loaded(base):
    encoder = mmrag.load_encoder(base.folder, device="cpu", dtype="float32")
    assert isinstance(encoder, VisualizedBGE)
    assert np.abs(encoder.encode(base.items) - base.expected).max() <= 1e-5


def test_the_bundled_demo_encoder_is_loaded_by_its_name():
    assert mmrag.load_encoder("demo", device="cpu").info.name == "demo"


def test_a_name_is_a_name_also_where_a_folder_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()  # as `mmrag demo` leaves one
    monkeypatch.chdir(tmp_path)
    assert mmrag.load_encoder("demo", device="cpu").info.name == "demo"


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(CheckpointError, match=r"'bge-large' .*names are base-en-v1\.5, m3 and demo"):
        mmrag.load_encoder("bge-large")


def test_a_folder_in_another_layout_is_refused_with_the_names(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no encoder .* text/ .*names base-en-v1\.5, m3 and demo"):
        mmrag.load_encoder(tmp_path)
