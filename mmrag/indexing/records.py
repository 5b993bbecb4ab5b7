"""Records of the indexing pipeline: source entries, files, and images with the vector store that takes them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from mmrag.errors import ImageError, StoreError
from mmrag.filters import Scalar
from mmrag.images import ImagePolicy, load_image, read_bytes
from mmrag.images.redact import describe_source, redact_url
from mmrag.indexing.manifest import FileRecord
from mmrag.indexing.report import Skipped

__all__ = [
    "ImageEntry",
    "ImageRecord",
    "LoadedFile",
    "SourceFile",
    "Vector",
    "VectorStore",
    "is_deleted",
    "load_file",
    "metadata_to_json",
]

Vector = Sequence[float]


@dataclass(frozen=True)
class ImageEntry:
    """One image of a source.

    Attributes
    ----------
    path : str
        Path or URL.
    metadata : mapping of str to str, int, float, bool or None
        What the source says about it. Default: nothing.
    """

    path: str
    metadata: Mapping[str, Scalar | None] = field(default_factory=dict[str, Scalar | None])


@dataclass(frozen=True)
class ImageRecord:
    """An image as it goes to the vector store: once, with all its files.

    Attributes
    ----------
    id : str
        SHA-256 of the file's content.
    paths : tuple of str
        Absolute paths of all files that hold it, and URLs, sorted.
    metadata : mapping of str to str, int, float or bool
        Metadata of all its files. Where files differ, the first one counts; where sources differ
        about one file, the latest source counts.
    """

    id: str
    paths: tuple[str, ...]
    metadata: Mapping[str, Scalar]

    @classmethod
    def from_files(cls, files: Sequence[FileRecord]) -> ImageRecord:
        """Merge the files that hold one image."""
        metadata: dict[str, Scalar] = {}
        for file in files:
            for values in reversed(list(file.metadata.values())):
                metadata = json.loads(values) | metadata
        return cls(files[0].image_id, tuple(file.path for file in files), metadata)


class VectorStore(Protocol):
    """Images and their vectors, by image id."""

    def to_row(self, record: ImageRecord) -> Any:
        """Validate a record and convert it to what `upsert` takes; raises `StoreError`."""

    def upsert(self, rows: Sequence[Any], vectors: Sequence[Vector]) -> None:
        """Write rows with their vectors, over those with the same id."""

    def delete(self, ids: Sequence[str]) -> None:
        """Delete images."""

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Fetch the vectors of those ids that are stored."""
        ...


@dataclass(frozen=True)
class SourceFile:
    """A file or URL of a source, with its metadata as canonical JSON."""

    path: str  # absolute, or a URL
    size: int = 0  # size and time reveal an edit without reading the file; 0 for a URL
    mtime_ns: int = 0
    metadata: str = "{}"
    is_repeat: bool = False  # the source has named the same file before

    @classmethod
    def from_entry(cls, entry: ImageEntry) -> SourceFile | Skipped:
        """Resolve the path of an entry, and read size and time of a local file."""
        try:
            entry.path.encode()
        except UnicodeEncodeError:
            readable = entry.path.encode(errors="replace").decode()
            return Skipped(redact_url(readable), "its name is no valid UTF-8: rename it")
        metadata = metadata_to_json(entry.metadata, redact_url(entry.path))
        if "://" in entry.path:
            return cls(entry.path, metadata=metadata)
        path = Path(entry.path)
        try:
            absolute = str(path.parent.resolve() / path.name)  # as a walk through its folder names it
        except (OSError, RuntimeError, ValueError):  # RuntimeError: a loop of links, in Python < 3.13
            absolute = entry.path
        try:
            status = os.stat(absolute)
        except (OSError, ValueError):
            return cls(absolute, metadata=metadata)  # reading it will find the reason
        return cls(absolute, status.st_size, status.st_mtime_ns, metadata)

    def is_unchanged(self, record: FileRecord) -> bool:
        """Return True if the file need not be read again; a URL always must."""
        return "://" not in self.path and (self.size, self.mtime_ns) == (record.size, record.mtime_ns)


@dataclass(frozen=True)
class LoadedFile:
    """A file, the id of its image, and the image where it had to be decoded."""

    file: SourceFile
    image_id: str
    image: Image.Image | None = None


def load_file(
    file: SourceFile, policy: ImagePolicy, is_known: Callable[[str], bool] = lambda image_id: False
) -> LoadedFile | Skipped:
    """Hash a file, and decode its image unless the id is a known one."""
    data = b""
    try:
        data = read_bytes(file.path, policy)
        image_id = hashlib.sha256(data).hexdigest()
        return LoadedFile(file, image_id, None if is_known(image_id) else load_image(data, policy))
    except ImageError as error:
        reason = str(error).removeprefix(f"{describe_source(file.path)} ").removeprefix(f"{describe_source(data)} ")
        return Skipped(redact_url(file.path), reason)


def is_deleted(path: str) -> bool:
    """Return True if a file was deleted, or a folder took its place, or a link that of its folder.

    A file that cannot be accessed counts as present, and so does a URL.
    """
    if "://" in path:
        return False
    folder = os.path.dirname(path)
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) or os.path.realpath(folder) != folder
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def metadata_to_json(metadata: Mapping[str, Scalar | None], path: str) -> str:
    """Convert metadata to canonical JSON, without None, NaN and infinity, which JSON lacks.

    >>> metadata_to_json({"price": 3.5, "brand": None}, "a.jpg")
    '{"price": 3.5}'
    """
    values: dict[str, Scalar] = {}
    for key, value in metadata.items():
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        if not isinstance(value, (str, int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StoreError(
                f"metadata of {path}: {key}={value!r} is {type(value).__name__}; give text, a number or a boolean"
            )
        values[key] = value
    return json.dumps(values, sort_keys=True, ensure_ascii=False)
