"""Visualized BGE embeddings of texts, images and composed queries."""

from __future__ import annotations

from typing import ClassVar

from llama_index.embeddings.composed_image import ComposedImageEmbedding

__all__ = ["VisualizedBGEEmbedding"]


class VisualizedBGEEmbedding(ComposedImageEmbedding):
    """Embed texts, images and composed queries with Visualized BGE, by default with ``base-en-v1.5``.

    Parameters, methods and errors are those of `ComposedImageEmbedding`.
    """

    default_model: ClassVar[str | None] = "base-en-v1.5"
