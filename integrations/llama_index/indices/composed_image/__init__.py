"""Composed search over a folder of pictures, as a LlamaIndex index on Milvus."""

from __future__ import annotations

from llama_index.indices.composed_image.filters import metadata_filters
from llama_index.indices.composed_image.store import PictureStore, milvus_store

__all__ = ["PictureStore", "metadata_filters", "milvus_store"]
