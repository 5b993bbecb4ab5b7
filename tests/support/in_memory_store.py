"""A vector store in memory, and the counts of a report."""

from __future__ import annotations

from pathlib import Path

from mmrag.indexing import ImageRecord, IndexReport


class InMemoryStore:
    """Holds images and vectors by id."""

    def __init__(self):
        self.images: dict[str, ImageRecord] = {}
        self.stored_vectors: dict[str, list[float]] = {}

    def to_row(self, record):
        return record

    def upsert(self, rows, vectors):
        self.images |= {record.id: record for record in rows}
        self.stored_vectors |= {record.id: vector for record, vector in zip(rows, vectors, strict=True)}

    def delete(self, ids):
        for image in ids:
            self.images.pop(image, None)
            self.stored_vectors.pop(image, None)

    def vectors(self, ids):
        return {image: self.stored_vectors[image] for image in ids if image in self.stored_vectors}

    def names(self) -> set[frozenset[str]]:
        """The file names of each image."""
        return {frozenset(Path(path).name for path in image.paths) for image in self.images.values()}

    def metadata(self, key: str) -> dict[str, object]:
        """A field of each image's metadata, by the name of its first file."""
        return {Path(image.paths[0]).name: image.metadata.get(key) for image in self.images.values()}


def counts(report: IndexReport) -> dict[str, int]:
    """The counts of a report that are not 0."""
    return {name: count for name, count in report._counts() if count}
