"""A folder of small pictures, and an index over it in a Milvus Lite of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from PIL import Image

from mmrag.testing import toy_encoder

COLOURS = ("red", "green", "blue", "yellow", "black")


@pytest.fixture
def embedding() -> VisualizedBGEEmbedding:
    return VisualizedBGEEmbedding(encoder=toy_encoder())


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five colours, each plain and with a white corner."""
    folder = tmp_path_factory.mktemp("pictures")
    for colour in COLOURS:
        image = Image.new("RGB", (16, 16), colour)
        image.save(folder / f"{colour}.png")
        image.paste("white", (0, 0, 6, 6))
        image.save(folder / f"{colour} corner.png")
    return folder


@pytest.fixture
def index(milvus_lite: Path, embedding, pictures):
    with ComposedImageIndex.open(milvus_lite, embedding, scalar_fields={"price": float}) as index:
        index.add_folder(pictures, metadata=lambda path: {"price": len(path.stem)})
        yield index
