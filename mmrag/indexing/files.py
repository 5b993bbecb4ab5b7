"""From a folder to pictures. In: a folder. Out: its files; and what one file holds."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mmrag.errors import ImageError, StoreError
from mmrag.filters import Scalar
from mmrag.images import ImagePolicy, load_image
from mmrag.indexing.report import Skipped
from mmrag.manifest import Entry

__all__ = ["Content", "Found", "Metadata", "Picture", "described", "read", "walk"]

Metadata = Callable[[Path], Mapping[str, Scalar | None]] | Mapping[str, Mapping[str, Scalar | None]]

# A file edited this shortly after a look at it may keep its time: file systems count in steps.
STEP_NS = 2_000_000_000


@dataclass(frozen=True)
class Found:
    """A file on disk, and what is known about it, as canonical JSON."""

    path: Path
    size: int
    mtime_ns: int
    note: str = "{}"

    def holding(self, picture: str) -> Entry:
        """Make the record of this file; a time too young to be trusted is recorded as 0."""
        trusted = time.time_ns() - self.mtime_ns > STEP_NS
        time_ns = self.mtime_ns if trusted else 0
        return Entry(str(self.path), picture, self.size, time_ns, self.note)


@dataclass(frozen=True)
class Content:
    """What a file holds: the id of its picture, and the picture when it had to be decoded."""

    found: Found
    picture: str
    image: Image.Image | None


@dataclass(frozen=True)
class Picture:
    """A picture as it goes to the store: once, with all its names.

    Attributes
    ----------
    id
        SHA-256 of the file's content.
    paths
        Absolute paths of all files that hold it, sorted.
    metadata
        What is known about the first of them.
    """

    id: str
    paths: tuple[str, ...]
    metadata: Mapping[str, Scalar]

    @classmethod
    def of(cls, entries: list[Entry]) -> Picture:
        """Gather the files that hold one picture."""
        first = entries[0]
        return cls(
            first.picture, tuple(entry.path for entry in entries), json.loads(first.metadata)
        )


def walk(folder: Path) -> Iterator[Found | Skipped]:
    """List the files of a folder and its sub-folders, by name; hidden ones are left out.

    Symbolic links to folders are not followed. A sub-folder that cannot be listed is skipped.
    """
    try:
        children = sorted(os.scandir(folder), key=lambda child: child.name)
    except OSError as error:
        yield Skipped(folder, f"folder cannot be listed ({error.strerror})")
        return
    for child in children:
        path = Path(child.path)
        if child.name.startswith("."):
            continue
        try:
            child.path.encode()
            if child.is_dir(follow_symlinks=False):
                yield from walk(path)
                continue
            facts = child.stat()
        except UnicodeEncodeError:
            readable = Path(os.fsencode(child.path).decode(errors="replace"))
            yield Skipped(readable, "its name is no valid UTF-8: rename it")
        except OSError as error:
            yield Skipped(path, f"cannot be read ({error.strerror})")
        else:
            yield Found(path, facts.st_size, facts.st_mtime_ns)


def read(
    found: Found, known: Callable[[str], bool], policy: ImagePolicy, root: Path
) -> Content | Skipped:
    """Hash a file, and decode its picture unless it is a known one."""
    path = found.path
    try:
        place = path.resolve()
        if not place.is_relative_to(root):
            return Skipped(path, f"a symbolic link out of the folder, to {place}")
        if not place.is_file():
            return Skipped(path, "no regular file")
        if found.size > policy.max_bytes:
            return Skipped(path, f"{found.size:,} bytes, more than {policy.max_bytes:,}")
        data = path.read_bytes()
        picture = hashlib.sha256(data).hexdigest()
        return Content(found, picture, None if known(picture) else load_image(data, policy))
    except ImageError as error:
        return Skipped(path, str(error))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        return Skipped(path, f"cannot be read ({error})")


def described(path: Path, root: Path, metadata: Metadata | None) -> str:
    """Look up what is known about a file, as canonical JSON; None and NaN count as not known."""
    if metadata is None:
        return "{}"
    if callable(metadata):
        known = metadata(path)
    else:
        known = metadata.get(path.relative_to(root).as_posix(), {})
    values = {key: value for key, value in known.items() if not _missing(value)}
    for key, value in values.items():
        if not isinstance(value, (str, int, float, bool)):
            raise StoreError(
                f"metadata of {path}: {key}={value!r} is {type(value).__name__}; "
                "give text, a number or a boolean"
            )
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def _missing(value: Scalar | None) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
