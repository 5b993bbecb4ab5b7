"""Composed search over images, as a LlamaIndex index on Milvus."""

from __future__ import annotations

from llama_index.indices.composed_image.base import ComposedImageIndex
from llama_index.indices.composed_image.filters import metadata_filters
from llama_index.indices.composed_image.query_engine import ComposedImageQueryEngine
from llama_index.indices.composed_image.response import RankedImagesResponse, RankedImagesSynthesizer
from llama_index.indices.composed_image.retriever import ComposedImageRetriever, ImageQueryBundle
from llama_index.indices.composed_image.vector_store import ImageVectorStore, milvus_store

__all__ = [
    "ComposedImageIndex",
    "ComposedImageQueryEngine",
    "ComposedImageRetriever",
    "ImageQueryBundle",
    "ImageVectorStore",
    "RankedImagesResponse",
    "RankedImagesSynthesizer",
    "metadata_filters",
    "milvus_store",
]
