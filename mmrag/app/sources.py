"""What a person wants indexed. In: words on the command line. Out: folders, and listed pictures."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmrag.app.amazon import AmazonItems, holds_amazon_items
from mmrag.app.table import SUFFIXES, Listed, Table, open_table
from mmrag.errors import SettingError
from mmrag.filters import Scalar

__all__ = ["Sources", "read_sources"]


@dataclass(frozen=True)
class Sources:
    """Where pictures come from; iterating gives those of files and tables, one by one."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    tables: tuple[Table | AmazonItems, ...]

    @property
    def columns(self) -> Mapping[str, type[Scalar]]:
        """The typed fields of all tables."""
        return {name: kind for table in self.tables for name, kind in table.columns.items()}

    def __iter__(self) -> Iterator[Listed]:
        for file in self.files:
            yield Listed(str(file), {})
        for table in self.tables:
            yield from table


def read_sources(
    words: Sequence[str], picture_column: str | None = None, images: Path | None = None
) -> Sources:
    """Sort words into folders, tables (by their ending) and picture files (names or patterns).

    Parameters
    ----------
    words
        What was typed.
    picture_column
        The column of a table that names its pictures; found by its name when None.
    images
        Where the pictures of Amazon's items are; None keeps their URLs.

    Raises
    ------
    SettingError
        When a word is none of these, or a table cannot be read.
    """
    folders: list[Path] = []
    files: list[Path] = []
    tables: list[Table | AmazonItems] = []
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            folders.append(path)
        elif path.is_file() and holds_amazon_items(path):
            tables.append(AmazonItems(path, images))
        elif path.suffix.lower() in SUFFIXES:
            tables.append(open_table(path, picture_column))
        else:
            files.extend(_matching(word))
    return Sources(tuple(folders), tuple(files), tuple(tables))


def _matching(word: str) -> list[Path]:
    path = Path(word).expanduser()
    found = [path] if path.is_file() else [Path(f) for f in glob.glob(str(path), recursive=True)]
    files = sorted(file for file in found if file.is_file())
    if not files:
        raise SettingError(
            f"{word!r} is no folder, no file, and no pattern that matches one: check the path"
        )
    return files
