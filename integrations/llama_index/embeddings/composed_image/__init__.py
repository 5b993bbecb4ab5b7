"""Embeddings of texts, images and composed queries by any encoder."""

from __future__ import annotations

from llama_index.embeddings.composed_image.base import ComposedImageEmbedding

__all__ = ["ComposedImageEmbedding"]
