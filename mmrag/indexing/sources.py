"""What a person wants indexed. In: words on the command line. Out: folders and lists."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmrag.errors import SettingError
from mmrag.filters import Scalar
from mmrag.indexing import Listed
from mmrag.indexing.amazon_reviews import AmazonItems, holds_amazon_items
from mmrag.indexing.manifest import FOLDERS
from mmrag.indexing.tables import SUFFIXES, Table, open_table

__all__ = ["Files", "Pattern", "Sources", "read_sources"]


@dataclass(frozen=True)
class Files:
    """Image files named one by one: remembered like those of a folder."""

    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The source that stands for folders."""
        return FOLDERS

    def __iter__(self) -> Iterator[Listed]:
        for path in self.paths:
            yield Listed(str(path), {})


@dataclass(frozen=True)
class Pattern:
    """The files that an absolute pattern matches, looked up each time it is read."""

    name: str

    def __iter__(self) -> Iterator[Listed]:
        for path in sorted(set(_matches(self.name))):
            if os.path.isfile(path):
                yield Listed(path, {})


@dataclass(frozen=True)
class Sources:
    """Where images come from."""

    folders: tuple[Path, ...] = ()
    files: Files = Files(())
    patterns: tuple[Pattern, ...] = ()
    tables: tuple[Table | AmazonItems, ...] = ()

    @property
    def columns(self) -> Mapping[str, type[Scalar]]:
        """The typed fields of all tables: a price of 5 today may be 5.5 tomorrow."""
        return {name: float if kind is int else kind for table in self.tables for name, kind in table.columns.items()}


def read_sources(words: Sequence[str], image_column: str | None = None, images: Path | None = None) -> Sources:
    """Sort words into folders, tables (by their ending) and image files (names or patterns).

    Parameters
    ----------
    words
        What was typed.
    image_column
        The column of a table that names its images; found by its name when None.
    images
        Where the images of Amazon's items are; None keeps their URLs.

    Raises
    ------
    SettingError
        When a word is none of these, or a table cannot be read.
    """
    folders: list[Path] = []
    files: list[Path] = []
    patterns: list[Pattern] = []
    tables: list[Table | AmazonItems] = []
    for word in words:
        if not word:  # of an unset variable; as a path it would be the folder one is in
            raise SettingError("a source is empty: name a folder, a table or a pattern")
        path = Path(os.path.expanduser(word))
        if os.path.isdir(path):  # Path.is_dir raises an OSError for a very long name
            folders.append(path)
        elif os.path.isfile(path) and holds_amazon_items(path):
            tables.append(AmazonItems(path, images))
        elif path.suffix.lower() in SUFFIXES:
            tables.append(open_table(path, image_column))
        elif os.path.isfile(path):
            files.append(path)
        else:
            patterns.append(_pattern(word))
    return Sources(tuple(folders), Files(tuple(files)), tuple(patterns), tuple(tables))


def _matches(pattern: str) -> Iterator[str]:
    """Match as `glob` does, but for ``**``: glob follows links there, in circles without end."""
    if pattern.endswith("/**"):
        pattern += "/*"
    above, deep, below = pattern.partition("/**/")
    if not deep:
        yield from glob.iglob(pattern)
        return
    for top in glob.iglob(above or "/"):
        for folder, names, _ in os.walk(top):
            names[:] = [name for name in names if not name.startswith(".")]
            yield from _matches(f"{glob.escape(folder)}/{below}")


def _pattern(word: str) -> Pattern:
    pattern = Pattern(os.path.abspath(os.path.expanduser(word)))
    if next(iter(pattern), None) is None:
        raise SettingError(f"{word!r} is no folder, no file, and no pattern that matches one: check the path")
    return pattern
