"""Images that a table or a pattern names, into an index. In: the list. Out: a report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmrag.filters import Scalar
from mmrag.images import ImagePolicy
from mmrag.images.redact import redact_url
from mmrag.indexing.manifest import Entry, Manifest
from mmrag.indexing.pipeline import Embed, Progress, Run, Shelf, counted
from mmrag.indexing.records import Found, is_gone, note_of
from mmrag.indexing.report import IndexReport, Skipped

__all__ = ["Listed", "Listing", "index_listing"]


@dataclass(frozen=True)
class Listed:
    """One image of a list: a path or URL, and what the list says about it."""

    source: str
    metadata: Mapping[str, Scalar | None]


class Listing(Protocol):
    """A list of images that can be read again and again."""

    @property
    def name(self) -> str:
        """What the manifest remembers it by: the same one each time it is indexed."""
        ...

    def __iter__(self) -> Iterator[Listed]:
        """Read the list."""
        ...


def index_listing(
    listing: Listing,
    manifest: Manifest,
    shelf: Shelf,
    embed: Embed,
    *,
    sync: bool = False,
    verify: bool = False,
    policy: ImagePolicy | None = None,
    on_progress: Progress | None = None,
) -> IndexReport:
    """Bring a shelf up to date with a list of images: only new or changed ones are embedded.

    URLs are fetched each time, for there is no other way to know what they hold.

    Parameters
    ----------
    listing
        Paths, and URLs on hosts that ``policy`` names. A path that is listed twice keeps what was
        said first.
    manifest, shelf, embed, verify
        As for `mmrag.indexing.index_folder`.
    sync
        Also remove what the list no longer names, and files that are gone while their folder is
        still there. An image that another list or a folder names stays.
    policy
        What may be opened.
    on_progress
        Called with the number of images done, and of all.
    """
    run = Run(listing.name, manifest, shelf, embed, policy or ImagePolicy())
    run.settle()
    seen: set[str] = set()
    run.add(_once(counted(lambda: map(_found, listing), on_progress), seen, run), verify)
    if sync:
        run.remove(filter(_deleted, manifest.listed(listing.name)), manifest.drop)
        unlisted = (entry for entry in manifest.listed(listing.name) if entry.path not in seen)
        run.remove(unlisted, lambda path: manifest.retract(path, listing.name))
    return run.report(listing.name)


def _once(items: Iterable[Found | Skipped], seen: set[str], run: Run) -> Iterator[Found | Skipped]:
    for item in items:
        if isinstance(item, Found):
            if item.path in seen:
                run.counts["duplicate"] += 1
                continue
            seen.add(item.path)
        yield item


def _found(listed: Listed) -> Found | Skipped:
    source = listed.source
    try:
        source.encode()
    except UnicodeEncodeError:
        readable = source.encode(errors="replace").decode()
        return Skipped(redact_url(readable), "its name is no valid UTF-8: rename it")
    note = note_of(listed.metadata, redact_url(source))
    if "://" in source:
        return Found(source, note=note)
    path = _absolute(source)
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return Found(path, note=note)  # reading it will tell why
    return Found(path, facts.st_size, facts.st_mtime_ns, note)


def _absolute(source: str) -> str:
    """Name a file as a walk through its folder does."""
    path = Path(source)
    try:
        return str(path.parent.resolve() / path.name)
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a loop of links, in Python < 3.13
        return source


def _deleted(entry: Entry) -> bool:
    """Tell a deleted file from a folder that is away, as an unplugged disk is."""
    return is_gone(entry.path) and os.path.isdir(os.path.dirname(entry.path))
