"""Where a data set's pictures are. In: a folder. Out: the file of each name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["find_pictures", "picture_of"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find_pictures(folder: Path) -> dict[str, Path]:
    """Find the pictures of a folder and its sub-folders, by name without ending."""
    return {
        file.stem: file
        for at, _, names in os.walk(folder)
        for name in names
        if (file := Path(at) / name).suffix.lower() in SUFFIXES
    }


def picture_of(name: str, pictures: Mapping[str, Path], folder: Path) -> Path:
    """Look a picture up; one that is missing gets a path that can be told, and not read."""
    return pictures.get(name, folder / f"{name} (not there)")
