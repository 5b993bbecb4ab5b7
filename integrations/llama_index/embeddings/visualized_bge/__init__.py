"""Visualized BGE for LlamaIndex: text, images and both together in one vector space."""

from __future__ import annotations

from llama_index.embeddings.visualized_bge.base import VisualizedBGEEmbedding

from mmrag.embedding.base import Encoder

__all__ = ["Encoder", "VisualizedBGEEmbedding"]
