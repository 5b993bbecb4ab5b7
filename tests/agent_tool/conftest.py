"""Image search over an index of ten small images, called as a model would."""

from __future__ import annotations

import pytest
from color_index import images, index, open_index, own_index

from mmrag.agent_tool.tool import ImageSearch

__all__ = ["images", "index", "open_index", "own_index"]


@pytest.fixture(scope="session")
def image_search(index) -> ImageSearch:
    return ImageSearch(index.as_query_engine(similarity_top_k=3))


@pytest.fixture(scope="session")
def search(image_search):
    return lambda **arguments: image_search.search(arguments)
