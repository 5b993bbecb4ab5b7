"""Sources of images: folders, globs, tables, single files, and any iterable of entries."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from mmrag.errors import ImageError, SettingError
from mmrag.filters import Scalar
from mmrag.images import ImagePolicy
from mmrag.indexing.amazon_reviews import AmazonItems, is_amazon_reviews
from mmrag.indexing.manifest import FOLDER_SOURCE, MANIFEST_SUFFIX, FileRecord, Manifest
from mmrag.indexing.records import ImageEntry, SourceFile, is_deleted, metadata_to_json
from mmrag.indexing.report import Skipped
from mmrag.indexing.tables import TABLE_SUFFIXES, Table, open_table

__all__ = ["Entries", "Folder", "Glob", "Metadata", "Source", "SourceLike", "as_source", "column_types", "open_sources"]

Metadata = Callable[[Path], Mapping[str, Scalar | None]] | Mapping[str, Mapping[str, Scalar | None]]


@runtime_checkable
class Source(Protocol):
    """Files to index, and which recorded files are not part of them any more."""

    @property
    def name(self) -> str:
        """Name for the report: the absolute path of a folder, table or pattern."""
        ...

    @property
    def key(self) -> str:
        """Name in the manifest, the same in each run."""
        ...

    def restrict(self, policy: ImagePolicy | None) -> ImagePolicy:
        """Return the policy that its files are read with."""
        ...

    def files(self, listed: set[str]) -> Iterator[SourceFile | Skipped]:
        """Iterate over the files; adds to ``listed`` what `unlisted_files` compares with."""
        ...

    def deleted_files(self, manifest: Manifest) -> Iterator[FileRecord]:
        """Iterate over recorded files that were deleted from the disk."""
        ...

    def unlisted_files(self, manifest: Manifest, listed: set[str]) -> Iterator[FileRecord]:
        """Iterate over recorded files that the source names no more, though they may be there."""
        ...


SourceLike = str | os.PathLike[str] | Source | Iterable[ImageEntry]


@dataclass(frozen=True)
class Folder:
    """The images of a folder and its sub-folders; hidden files and folders of indexes are left out.

    Parameters
    ----------
    path : str or path
        The folder.
    metadata : callable or mapping, optional
        Metadata of a file: a function of its path, or a mapping by relative path.
    """

    path: str | os.PathLike[str]
    metadata: Metadata | None = None

    @property
    def name(self) -> str:
        """The absolute path of the folder."""
        return str(Path(os.path.expanduser(self.path)).resolve())

    @property
    def key(self) -> str:
        """One key for all folders: a file may move from one to the other."""
        return FOLDER_SOURCE

    def restrict(self, policy: ImagePolicy | None) -> ImagePolicy:
        """Keep symbolic links inside of the folder, unless the policy names other roots."""
        if policy is None:
            return ImagePolicy(roots=[self.name])
        return replace(policy, roots=[self.name]) if policy.roots is None else policy

    def files(self, listed: set[str]) -> Iterator[SourceFile | Skipped]:
        """Iterate over the files of a folder, by name, then of its sub-folders; raises `ImageError` if it is missing.

        Links to folders are not followed. A sub-folder that cannot be listed is skipped, and so is one with a manifest.
        """
        root = self.name
        if not os.path.isdir(root):
            raise ImageError(f"{self.path} is no folder: check the path")
        folders = deque([root])  # no recursion: folders may lie deeper than Python can call
        while folders:
            folder = folders.popleft()
            try:
                children = sorted(os.scandir(folder), key=lambda child: child.name)
            except OSError as error:
                yield Skipped(folder, f"folder cannot be listed ({error.strerror})")
                continue
            if any(child.name.endswith(MANIFEST_SUFFIX) for child in children):
                continue
            for child in children:
                if child.name.startswith("."):
                    continue
                try:
                    child.path.encode()
                    if child.is_dir(follow_symlinks=False):
                        folders.append(child.path)
                        continue
                    stat = child.stat()
                except UnicodeEncodeError:
                    readable = os.fsencode(child.path).decode(errors="replace")
                    yield Skipped(readable, "its name is no valid UTF-8: rename it")
                except OSError as error:
                    yield Skipped(child.path, f"cannot be read ({error.strerror})")
                else:
                    metadata = metadata_to_json(self._metadata_of(child.path, root), child.path)
                    yield SourceFile(child.path, stat.st_size, stat.st_mtime_ns, metadata)
        self._require_present()

    def deleted_files(self, manifest: Manifest) -> Iterator[FileRecord]:
        """Iterate over recorded files below the folder that were deleted, unless it is gone itself."""
        self._require_present()
        return (record for record in manifest.files_under(self.name) if is_deleted(record.path))

    def unlisted_files(self, manifest: Manifest, listed: set[str]) -> Iterator[FileRecord]:
        """Return nothing: what is not deleted is still part of the folder."""
        return iter(())

    def _metadata_of(self, path: str, root: str) -> Mapping[str, Scalar | None]:
        if callable(self.metadata):
            return self.metadata(Path(path))
        return self.metadata.get(Path(path).relative_to(root).as_posix(), {}) if self.metadata else {}

    def _require_present(self) -> None:
        if not os.path.isdir(self.name):
            raise ImageError(f"{self.path} vanished while it was read: nothing in the index was removed")


@dataclass(frozen=True)
class Entries:
    """Image entries that can be read again and again: of a table, a pattern, or a list.

    Parameters
    ----------
    entries : iterable of ImageEntry
        Paths or URLs with metadata. A file that is named twice keeps its first metadata.
    name : str, optional
        Name in the manifest, the same each time. Default: recorded like the files of a folder.
    """

    entries: Iterable[ImageEntry]
    name: str = FOLDER_SOURCE

    def __post_init__(self) -> None:
        if isinstance(self.entries, Iterator):  # it could be read only once
            object.__setattr__(self, "entries", tuple(self.entries))

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    def restrict(self, policy: ImagePolicy | None) -> ImagePolicy:
        """Return the policy, or the default one."""
        return policy or ImagePolicy()

    def files(self, listed: set[str]) -> Iterator[SourceFile | Skipped]:
        """Iterate over the entries, with size and time of local files."""
        for entry in self.entries:
            file = SourceFile.from_entry(entry)
            if isinstance(file, SourceFile):
                file = replace(file, is_repeat=file.path in listed)
                listed.add(file.path)
            yield file

    def deleted_files(self, manifest: Manifest) -> Iterator[FileRecord]:
        """Iterate over recorded files that were deleted; a missing folder may be an unplugged disk."""
        for record in manifest.files_from(self.name):
            if is_deleted(record.path) and os.path.isdir(os.path.dirname(record.path)):
                yield record

    def unlisted_files(self, manifest: Manifest, listed: set[str]) -> Iterator[FileRecord]:
        """Iterate over recorded files that the entries named in an earlier run, but not in this one."""
        return (record for record in manifest.files_from(self.name) if record.path not in listed)


@dataclass(frozen=True)
class Glob:
    """The files that an absolute pattern matches each time it is read; ``**`` follows no links."""

    name: str

    def __iter__(self) -> Iterator[ImageEntry]:
        for path in sorted(set(_matches(self.name))):
            if os.path.isfile(path):
                yield ImageEntry(path)


def as_source(source: SourceLike) -> Source:
    """Convert any kind of source to one."""
    opened = open_sources([os.fspath(source)])[0] if isinstance(source, (str, os.PathLike)) else source
    return opened if isinstance(opened, Source) else Entries(opened, getattr(opened, "name", FOLDER_SOURCE))


def open_sources(
    words: Sequence[str], image_column: str | None = None, images: Path | None = None
) -> list[Folder | Glob | Table | AmazonItems | Entries]:
    """Open folders, then patterns and tables (by their suffix), and single files as one source.

    Parameters
    ----------
    words : sequence of str
        Paths and patterns.
    image_column : str, optional
        Column of a table with paths or URLs. Default: found by its name.
    images : Path, optional
        Folder of the images of Amazon's items. Default: their URLs are fetched.

    Raises
    ------
    SettingError
        If a word is none of these, or a table cannot be read.
    """
    folders: list[Folder] = []
    named: list[Glob | Table | AmazonItems] = []
    files: list[ImageEntry] = []
    for word in words:
        if not word:  # of an unset variable; as a path it would be the current folder
            raise SettingError("a source is empty: name a folder, a table or a pattern")
        path = Path(os.path.expanduser(word))
        if os.path.isdir(path):  # Path.is_dir raises an OSError for a very long name
            folders.append(Folder(path))
        elif os.path.isfile(path) and is_amazon_reviews(path):
            named.append(AmazonItems(path, images))
        elif path.suffix.lower() in TABLE_SUFFIXES:
            named.append(open_table(path, image_column))
        elif os.path.isfile(path):
            files.append(ImageEntry(str(path)))
        elif any(pattern := Glob(os.path.abspath(path))):
            named.append(pattern)
        else:
            raise SettingError(f"{word!r} is no folder, no file, and no pattern that matches one: check the path")
    return [*folders, *named, *([Entries(files)] if files else [])]


def column_types(sources: Iterable[object]) -> dict[str, type[Scalar]]:
    """Collect the types of all tables' columns; int becomes float: a price of 5 may be 5.5 tomorrow."""
    columns = [source.columns for source in sources if isinstance(source, (Table, AmazonItems))]
    return {name: float if scalar is int else scalar for types in columns for name, scalar in types.items()}


def _matches(pattern: str) -> Iterator[str]:
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
