"""Protocol of the vector store that the indexing pipeline fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mmrag.indexing.records import ImageRecord

__all__ = ["Vector", "VectorStore"]

Vector = Sequence[float]


class VectorStore(Protocol):
    """Images and their vectors, by image id."""

    def to_row(self, record: ImageRecord) -> Any:
        """Validate a record and convert it to what `upsert` takes; raises `StoreError`."""
        ...

    def upsert(self, rows: Sequence[Any], vectors: Sequence[Vector]) -> None:
        """Write rows with their vectors, over those with the same id."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Delete images."""
        ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Fetch the vectors of those ids that are stored."""
        ...
