"""A shelf in memory, and what a report counted."""

from __future__ import annotations

from pathlib import Path

from mmrag.indexing import IndexReport, Picture


class DictShelf:
    """Holds pictures and vectors in memory."""

    def __init__(self):
        self.pictures: dict[str, Picture] = {}
        self.kept: dict[str, list[float]] = {}

    def check(self, picture):
        pass

    def upsert(self, pictures, vectors):
        self.pictures |= {picture.id: picture for picture in pictures}
        self.kept |= {p.id: v for p, v in zip(pictures, vectors, strict=True)}

    def delete(self, ids):
        for picture in ids:
            self.pictures.pop(picture, None)
            self.kept.pop(picture, None)

    def vectors(self, ids):
        return {picture: self.kept[picture] for picture in ids if picture in self.kept}

    def names(self) -> set[frozenset[str]]:
        """Which file names belong to one picture."""
        return {frozenset(Path(path).name for path in picture.paths) for picture in self.pictures.values()}

    def known(self, key: str) -> dict[str, object]:
        """What each picture has under a key, by the name of its first file."""
        return {Path(picture.paths[0]).name: picture.metadata.get(key) for picture in self.pictures.values()}


def counts(report: IndexReport) -> dict[str, int]:
    """What was counted, without what was not there."""
    return {name: count for name, count in report._counts() if count}
