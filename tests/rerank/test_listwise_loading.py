"""`load_reranker` opens local checkpoints and OpenAI-compatible servers by name, folder or address."""

from __future__ import annotations

from pathlib import Path

import pytest
from gray_images import BAG, gray_image

from mmrag.errors import CheckpointError, SettingError
from mmrag.rerank import ListwiseReranker, Reranker, load_reranker
from mmrag.vision import InstructorVision, Phi3Vision

TINY = Path(__file__).parents[1] / "golden" / "phi3_vision" / "tiny"


@pytest.mark.parametrize("name", ["demo", TINY, str(TINY)], ids=["name", "path", "folder"])
def test_a_local_checkpoint_is_loaded_by_name_or_folder(name):
    reranker = load_reranker(name, device="cpu", dtype="float32", window=4, caption=False)
    assert isinstance(reranker, ListwiseReranker) and isinstance(reranker, Reranker)
    assert isinstance(reranker.vlm, Phi3Vision) and reranker.window == 4
    assert sorted(reranker.rerank(BAG, [gray_image(0)] * 2).ranking.order) == [1, 2]


def test_an_address_needs_the_name_of_a_model_at_the_server():
    with pytest.raises(SettingError, match="an address needs the name of a model"):
        load_reranker("http://127.0.0.1:9/v1")
    reranker = load_reranker("http://127.0.0.1:9/v1", model="Qwen/Qwen2.5-VL-7B-Instruct", api_key="SECRET", timeout=1)
    assert isinstance(reranker, ListwiseReranker) and isinstance(reranker.vlm, InstructorVision)
    assert len(reranker.rerank(BAG, [gray_image(0)] * 2).failures) == 1
    assert "SECRET" not in repr(reranker.vlm.__dict__)


def test_unknown_names_and_keywords_are_refused():
    with pytest.raises(CheckpointError, match="nowhere"):
        load_reranker("nowhere")
    with pytest.raises(TypeError, match="windows"):
        load_reranker("http://127.0.0.1:9/v1", model="m", windows=4)
