"""Image search as a tool for agents: images in, images out, and nothing they may not see."""

from __future__ import annotations

from llama_index.tools.image_search.base import ImageSearchToolSpec

from mmrag.agent_tool.schema import FoundImage, FoundImages, ImageFacts
from mmrag.agent_tool.tool import Answer, ImageSearch

__all__ = ["Answer", "FoundImage", "FoundImages", "ImageFacts", "ImageSearch", "ImageSearchToolSpec"]
