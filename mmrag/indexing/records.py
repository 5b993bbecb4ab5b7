"""Records of the indexing pipeline: source entries, files, loaded files, and images to store."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from mmrag.errors import ImageError, StoreError
from mmrag.filters import Scalar
from mmrag.images import ImagePolicy, load_image, read_bytes
from mmrag.images.redact import describe_source
from mmrag.indexing.manifest import FileRecord
from mmrag.indexing.report import Skipped

__all__ = ["ImageEntry", "ImageRecord", "LoadedFile", "SourceFile", "is_deleted", "load_file", "metadata_to_json"]

# A file edited within this time of its last reading may keep its mtime: file systems count in steps.
MTIME_STEP_NS = 2_000_000_000


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
class SourceFile:
    """A file or URL of a source.

    Attributes
    ----------
    path : str
        Absolute path, or URL.
    size, mtime_ns : int
        Size and time of a file, which reveal an edit without reading it. 0 for a URL.
    metadata : str
        What the source says about it, as canonical JSON.
    is_repeat : bool
        Whether the source has named the same file before.
    """

    path: str
    size: int = 0
    mtime_ns: int = 0
    metadata: str = "{}"
    is_repeat: bool = False

    @property
    def display_name(self) -> str:
        """The path, or the URL without its secrets."""
        return describe_source(self.path) if "://" in self.path else self.path

    def is_unchanged(self, record: FileRecord) -> bool:
        """Return True if the file need not be read again; a URL always must."""
        return "://" not in self.path and (self.size, self.mtime_ns) == (record.size, record.mtime_ns)

    def to_record(self, image_id: str, source: str) -> FileRecord:
        """Build the manifest's record; an mtime too recent to be trusted is recorded as 0."""
        trusted = time.time_ns() - self.mtime_ns > MTIME_STEP_NS
        return FileRecord(self.path, image_id, self.size, self.mtime_ns if trusted else 0, {source: self.metadata})


@dataclass(frozen=True)
class LoadedFile:
    """A file, the id of its image, and the image where it had to be decoded."""

    file: SourceFile
    image_id: str
    image: Image.Image | None = None


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
        return Skipped(file.display_name, reason)


def is_deleted(path: str) -> bool:
    """Return True if a file was deleted; one that cannot be accessed counts as present.

    It is deleted, too, when a folder replaced it, or a link its folder. A URL never is.
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

    Raises
    ------
    StoreError
        If a value is no text, number or boolean.

    Examples
    --------
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
