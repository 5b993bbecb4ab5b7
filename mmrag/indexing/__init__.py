"""Indexing of images into a vector store: sources, the pipeline, its manifest and its report."""

from __future__ import annotations

from mmrag.indexing.pipeline import index_source
from mmrag.indexing.records import ImageEntry, ImageRecord, VectorStore
from mmrag.indexing.report import IndexReport, Skipped
from mmrag.indexing.sources import Entries, Folder, Metadata, Source, SourceLike, open_sources

__all__ = [
    "Entries",
    "Folder",
    "ImageEntry",
    "ImageRecord",
    "IndexReport",
    "Metadata",
    "Skipped",
    "Source",
    "SourceLike",
    "VectorStore",
    "index_source",
    "open_sources",
]
