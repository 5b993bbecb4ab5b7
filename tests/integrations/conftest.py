"""A folder of small images with an index over it in a Milvus Lite of its own; nodes to rerank."""

from __future__ import annotations

from pathlib import Path

import pytest
from color_index import images
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.indices.composed_image.vector_store import ImageVectorStore, milvus_store
from PIL import Image
from sample_nodes import COLUMNS

from mmrag.testing import toy_encoder

__all__ = ["images"]


@pytest.fixture
def embedding() -> VisualizedBGEEmbedding:
    return VisualizedBGEEmbedding(encoder=toy_encoder())


@pytest.fixture
def index(milvus_lite: Path, embedding, images):
    with ComposedImageIndex.open(milvus_lite, embedding, scalar_fields={"price": float}) as index:
        index.add_folder(images, metadata=lambda path: {"price": len(path.stem)})
        yield index


@pytest.fixture
def gray_folder(tmp_path):
    """Nine images, each brighter than the one before, and a query's."""
    for k in range(1, 10):
        Image.new("RGB", (16, 16), (25 * k,) * 3).save(tmp_path / f"{k}.png")
    Image.new("RGB", (16, 16), "orange").save(tmp_path / "leopard.png")
    return tmp_path


@pytest.fixture
def nodes(gray_folder):
    return [
        NodeWithScore(node=ImageNode(id_=str(k), image_path=str(gray_folder / f"{k}.png")), score=1 / k)
        for k in range(1, 10)
    ]


@pytest.fixture
def bundle(gray_folder):
    return QueryBundle("a bag with this", image_path=str(gray_folder / "leopard.png"))


@pytest.fixture
def opened(tmp_path):
    def open_store(**changes) -> ImageVectorStore:
        options = {"model": "toy", "scalar_fields": COLUMNS} | changes
        return milvus_store(tmp_path / "s.db", "shop", options.pop("dim", 4), **options)

    return open_store


@pytest.fixture
def store(opened):
    store = opened()
    yield store
    store.close()
