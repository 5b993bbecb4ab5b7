"""A published annotation file. In: a path, and a folder of images. Out: its records, by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmrag.indexing.json_records import Placed, Record, read_records

__all__ = ["Annotations"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Annotations:
    """What the readers of published forms have in common.

    Attributes
    ----------
    file
        As it is published: the split's name is in it.
    pieces
        Its records, not yet checked, each with its place in the file.
    images
        Where the images are that records name, sub-folders included.
    """

    file: Path
    pieces: Sequence[Placed]
    images: Path

    def records(self, kind: type[Record]) -> Iterator[Record]:
        """Check the records against a pydantic model.

        Raises
        ------
        SettingError
            Names file, line, record and field of what does not fit.
        """
        return read_records(self.pieces, kind)

    def image(self, name: str) -> Path:
        """Look an image up; one that is missing gets a path that can be told, and not read."""
        return self._images.get(name, self.images / f"{name} (not there)")

    @property
    def gallery(self) -> Path | None:
        """The file of names that are searched, if it lies beside the captions as published."""
        name = self.file.name.replace("cap.", "split.", 1)
        split = self.file.parent.parent / "image_splits" / name
        return split if split.is_file() else None

    @cached_property
    def _images(self) -> dict[str, Path]:
        return {
            file.stem: file
            for at, _, names in os.walk(self.images)
            for name in names
            if (file := Path(at) / name).suffix.lower() in SUFFIXES
        }
