"""Image search as a tool for agents: images in, images out, and nothing they may not see."""

from __future__ import annotations

from llama_index.tools.image_search.base import ImageSearchToolSpec
from llama_index.tools.image_search.schema import FoundImage, FoundImages, ImageFacts
from llama_index.tools.image_search.search import Answer, ImageSearch

__all__ = ["Answer", "FoundImage", "FoundImages", "ImageFacts", "ImageSearch", "ImageSearchToolSpec"]
