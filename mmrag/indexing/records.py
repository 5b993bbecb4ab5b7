"""What a run handles. In: a file or URL that a source names. Out: the image it holds."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from mmrag.errors import ImageError, StoreError
from mmrag.filters import Scalar
from mmrag.images import ImagePolicy, load_image, read_bytes
from mmrag.images.redact import describe_source
from mmrag.indexing.manifest import Entry
from mmrag.indexing.report import Skipped

__all__ = ["Content", "Found", "ImageRecord", "examine", "is_gone", "note_of"]

# A file edited this shortly after a look at it may keep its time: file systems count in steps.
STEP_NS = 2_000_000_000


@dataclass(frozen=True)
class Found:
    """A file or URL, and what its source says about it.

    Attributes
    ----------
    path
        Absolute path, or URL.
    size, mtime_ns
        What tells an edit of a file without reading it; a URL tells nothing.
    note
        Metadata, as canonical JSON.
    """

    path: str
    size: int = 0
    mtime_ns: int = 0
    note: str = "{}"

    @property
    def remote(self) -> bool:
        """Whether it is a URL."""
        return "://" in self.path

    @property
    def name(self) -> str:
        """How it is called in a report: a URL without its secrets."""
        return describe_source(self.path) if self.remote else self.path

    def untouched_since(self, entry: Entry) -> bool:
        """Tell whether it need not be read again."""
        return not self.remote and (self.size, self.mtime_ns) == (entry.size, entry.mtime_ns)

    def holding(self, image_id: str, source: str) -> Entry:
        """Make the record of it; a time too young to be trusted is recorded as 0."""
        trusted = time.time_ns() - self.mtime_ns > STEP_NS
        time_ns = self.mtime_ns if trusted else 0
        return Entry(self.path, image_id, self.size, time_ns, {source: self.note})


@dataclass(frozen=True)
class Content:
    """What was found in it: the id of its image, and the image when it had to be decoded."""

    found: Found
    image_id: str
    image: Image.Image | None = None


@dataclass(frozen=True)
class ImageRecord:
    """An image as it goes to the store: once, with all its names.

    Attributes
    ----------
    id
        SHA-256 of the file's content.
    paths
        Absolute paths of all files that hold it, and URLs, sorted.
    metadata
        All that is known about it. Where its files differ, the first of them is believed; where
        sources differ about one file, the one that spoke last.
    """

    id: str
    paths: tuple[str, ...]
    metadata: Mapping[str, Scalar]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> ImageRecord:
        """Gather the files that hold one image."""
        metadata: dict[str, Scalar] = {}
        for entry in entries:
            for note in reversed(list(entry.notes.values())):
                metadata = json.loads(note) | metadata
        return cls(entries[0].image_id, tuple(entry.path for entry in entries), metadata)


def examine(found: Found, known: Callable[[str], bool], policy: ImagePolicy) -> Content | Skipped:
    """Hash what is there, and decode its image unless it is a known one."""
    data = b""
    try:
        data = read_bytes(found.path, policy)
        image_id = hashlib.sha256(data).hexdigest()
        return Content(found, image_id, None if known(image_id) else load_image(data, policy))
    except ImageError as error:
        reason = str(error).removeprefix(f"{describe_source(found.path)} ").removeprefix(f"{describe_source(data)} ")
        return Skipped(found.name, reason)


def is_gone(path: str) -> bool:
    """Tell whether a file is no longer at its path; what cannot be looked at may come back.

    It is gone, too, when a folder took its place, or a link the place of its folder.
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


def note_of(metadata: Mapping[str, Scalar | None], path: str) -> str:
    """Write metadata as canonical JSON; None, NaN and infinity, which JSON lacks, are left out.

    Raises
    ------
    StoreError
        When a value is no text, number or boolean.

    Examples
    --------
    >>> note_of({"price": 3.5, "brand": None}, "a.jpg")
    '{"price": 3.5}'
    """
    values = {key: value for key, value in metadata.items() if not _missing(value)}
    for key, value in values.items():
        if not isinstance(value, (str, int, float, bool)):
            raise StoreError(
                f"metadata of {path}: {key}={value!r} is {type(value).__name__}; give text, a number or a boolean"
            )
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def _missing(value: Scalar | None) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
