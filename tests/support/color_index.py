"""An index of ten small images, five colors, each plain and with a white corner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from PIL import Image

from mmrag.testing import toy_encoder

COLORS = ("red", "green", "blue", "yellow", "black")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for color in COLORS:
        image = Image.new("RGB", (16, 16), color)
        image.save(folder / f"{color}.png")
        image.paste("white", (0, 0, 6, 6))
        image.save(folder / f"{color} corner.png")
    return folder


@pytest.fixture(scope="session")
def open_index(images) -> Callable[[Path], ComposedImageIndex]:
    """Index the images into a new collection; close it afterwards."""

    def open_at(path: Path) -> ComposedImageIndex:
        embedding = VisualizedBGEEmbedding(encoder=toy_encoder())
        index = ComposedImageIndex.open(path, embedding, scalar_fields={"price": float})
        index.add_folder(images, metadata=lambda path: {"price": len(path.stem)})
        return index

    return open_at


@pytest.fixture(scope="session")
def index(tmp_path_factory, open_index) -> Iterator[ComposedImageIndex]:
    """Shared by all tests that only read it."""
    with open_index(tmp_path_factory.mktemp("color_index") / "milvus.db") as index:
        yield index


@pytest.fixture
def own_index(milvus_lite, open_index) -> Iterator[ComposedImageIndex]:
    """For tests that write to it."""
    with open_index(milvus_lite) as index:
        yield index
