"""Embedding and index with Visualized BGE, on the tiny golden checkpoint."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from llama_index.core.schema import QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex

TINY = Path(__file__).parents[2] / "golden" / "visualized_bge" / "base-tiny"
IMAGES = TINY / "images"


@pytest.fixture(scope="module")
def published() -> VisualizedBGEEmbedding:
    return VisualizedBGEEmbedding(str(TINY), device="cpu")


def test_composed_embeddings_are_the_golden_vectors(published):
    expected = np.load(TINY / "expected.npz")
    for case in json.loads((TINY / "cases.json").read_text()):
        image = IMAGES / Path(case["image"]).name if case["image"] else None
        vector = published.get_composed_embedding(case["text"] or "", image)
        np.testing.assert_allclose(vector, expected[case["id"]], rtol=0, atol=1e-5)


def test_every_indexed_image_finds_itself(published, tmp_path):
    with ComposedImageIndex.open(tmp_path / "tiny.db", published) as index:
        assert index.add_folder(IMAGES).new == len(list(IMAGES.iterdir()))
        engine = index.as_query_engine(similarity_top_k=1)
        for image in IMAGES.iterdir():
            found = engine.query(QueryBundle("", image_path=str(image))).source_nodes[0]
            assert found.node.image_path == str(image)
            assert found.score == pytest.approx(1, abs=1e-5)


def test_an_index_is_opened_again_by_the_same_model_at_another_path(published, tmp_path):
    ComposedImageIndex.open(tmp_path / "tiny.db", published).close()
    (tmp_path / "base-tiny").symlink_to(TINY)
    moved = VisualizedBGEEmbedding(str(tmp_path / "base-tiny"), device="cpu")
    ComposedImageIndex.open(tmp_path / "tiny.db", moved).close()


def test_it_is_pickled_without_its_weights(published):
    published.get_text_embedding("load it")
    sent = pickle.dumps(published)
    assert len(sent) < 10_000
    again = pickle.loads(sent)
    assert again.get_text_embedding("a mug") == published.get_text_embedding("a mug")
