"""A vector store in memory, and the nonzero counts of a report."""

from __future__ import annotations

from pathlib import Path

from mmrag.indexing import ImageRecord, IndexReport


class InMemoryStore:
    """Holds images and vectors in memory."""

    def __init__(self):
        self.images: dict[str, ImageRecord] = {}
        self.kept: dict[str, list[float]] = {}

    def check(self, image):
        pass

    def upsert(self, images, vectors):
        self.images |= {image.id: image for image in images}
        self.kept |= {p.id: v for p, v in zip(images, vectors, strict=True)}

    def delete(self, ids):
        for image in ids:
            self.images.pop(image, None)
            self.kept.pop(image, None)

    def vectors(self, ids):
        return {image: self.kept[image] for image in ids if image in self.kept}

    def names(self) -> set[frozenset[str]]:
        """Which file names belong to one image."""
        return {frozenset(Path(path).name for path in image.paths) for image in self.images.values()}

    def known(self, key: str) -> dict[str, object]:
        """What each image has under a key, by the name of its first file."""
        return {Path(image.paths[0]).name: image.metadata.get(key) for image in self.images.values()}


def counts(report: IndexReport) -> dict[str, int]:
    """The counts of a report that are not 0."""
    return {name: count for name, count in report._counts() if count}
