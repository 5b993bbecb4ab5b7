"""LlamaIndex tools for image search."""

from __future__ import annotations

from llama_index.tools.image_search.base import ImageSearchToolSpec

__all__ = ["ImageSearchToolSpec"]
