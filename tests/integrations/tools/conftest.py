"""The image search tool over an index of ten small images."""

from __future__ import annotations

import pytest
from color_index import images, index, open_index, own_index
from llama_index.tools.image_search import ImageSearchToolSpec

__all__ = ["images", "index", "open_index", "own_index"]


@pytest.fixture(scope="session")
def spec(index) -> ImageSearchToolSpec:
    return ImageSearchToolSpec(index.as_query_engine(similarity_top_k=3))
