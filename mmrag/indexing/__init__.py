"""A folder of pictures into a vector store. In: a folder, a manifest, a shelf. Out: a report."""

from __future__ import annotations

from mmrag.indexing.files import Metadata, Picture
from mmrag.indexing.report import IndexReport, Skipped
from mmrag.indexing.run import Shelf, index_folder

__all__ = ["IndexReport", "Metadata", "Picture", "Shelf", "Skipped", "index_folder"]
