"""Images into a vector store. In: a folder or a list, a manifest, a shelf. Out: a report."""

from __future__ import annotations

from mmrag.indexing.folder import Metadata, index_folder
from mmrag.indexing.listing import Listed, Listing, index_listing
from mmrag.indexing.pipeline import Shelf
from mmrag.indexing.records import ImageRecord
from mmrag.indexing.report import IndexReport, Skipped

__all__ = [
    "ImageRecord",
    "IndexReport",
    "Listed",
    "Listing",
    "Metadata",
    "Shelf",
    "Skipped",
    "index_folder",
    "index_listing",
]
