"""Visualized BGE embeddings of texts, images and composed queries."""

from __future__ import annotations

from llama_index.embeddings.visualized_bge.base import VisualizedBGEEmbedding

__all__ = ["VisualizedBGEEmbedding"]
