"""A folder into an index. In: the folder, what is known about its files. Out: a report."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mmrag.errors import ImageError
from mmrag.filters import Scalar
from mmrag.images import ImagePolicy
from mmrag.indexing.manifest import FOLDERS, MANIFEST_SUFFIX, Manifest
from mmrag.indexing.pipeline import Embed, Progress, Run, Shelf, counted
from mmrag.indexing.records import Found, is_gone, note_of
from mmrag.indexing.report import IndexReport, Skipped

__all__ = ["Metadata", "index_folder", "walk"]

Metadata = Callable[[Path], Mapping[str, Scalar | None]] | Mapping[str, Mapping[str, Scalar | None]]


def index_folder(
    folder: Path,
    manifest: Manifest,
    shelf: Shelf,
    embed: Embed,
    *,
    metadata: Metadata | None = None,
    sync: bool = False,
    verify: bool = False,
    policy: ImagePolicy | None = None,
    on_progress: Progress | None = None,
) -> IndexReport:
    """Bring a shelf up to date with a folder: only what is new or changed is embedded.

    Parameters
    ----------
    folder
        Searched with its sub-folders; hidden files and folders of indexes are left out.
    manifest, shelf
        What was done before, and where images go.
    embed
        Turns images into vectors.
    metadata
        What is known about a file: a function of its path, or a mapping by relative path.
    sync
        Also remove what is no longer in the folder.
    verify
        Trust neither size and time of files nor the shelf: hash every file, look up every image.
    policy
        How large an image may be, and where symbolic links may lead: nowhere out of the folder
        unless it names other ``roots``.
    on_progress
        Called with the number of files done, and of all files.

    Returns
    -------
    IndexReport
        What was done, and which files were skipped for which reason.

    Raises
    ------
    ImageError
        When the folder does not exist, or vanishes meanwhile.
    """
    root = Path(os.path.expanduser(folder)).resolve()
    if not root.is_dir():
        raise ImageError(f"{folder} is no folder: check the path")
    policy = policy or ImagePolicy()
    if policy.roots is None:
        policy = replace(policy, roots=[root])
    run = Run(FOLDERS, manifest, shelf, embed, policy)
    run.settle()
    files = counted(lambda: walk(root), on_progress)
    run.add(_described(files, root, metadata or {}), verify)
    if not root.is_dir():
        raise ImageError(f"{folder} vanished while it was read: nothing in the index was removed")
    if sync:
        gone = (entry for entry in manifest.under(str(root)) if is_gone(entry.path))
        run.remove(gone, manifest.drop)
    return run.report(str(root))


def walk(folder: Path) -> Iterator[Found | Skipped]:
    """List the files of a folder, by name, then those of its sub-folders; hidden ones are left out.

    Symbolic links to folders are not followed. A sub-folder that cannot be listed is skipped; one
    that holds a manifest is an index, not images.
    """
    folders = deque([str(folder)])  # no recursion: folders may lie deeper than Python can call
    while folders:
        place = folders.popleft()
        try:
            children = sorted(os.scandir(place), key=lambda child: child.name)
        except OSError as error:
            yield Skipped(place, f"folder cannot be listed ({error.strerror})")
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
                facts = child.stat()
            except UnicodeEncodeError:
                readable = os.fsencode(child.path).decode(errors="replace")
                yield Skipped(readable, "its name is no valid UTF-8: rename it")
            except OSError as error:
                yield Skipped(child.path, f"cannot be read ({error.strerror})")
            else:
                yield Found(child.path, facts.st_size, facts.st_mtime_ns)


def _described(files: Iterator[Found | Skipped], root: Path, metadata: Metadata) -> Iterator[Found | Skipped]:
    for file in files:
        if isinstance(file, Found):
            path = Path(file.path)
            known = metadata(path) if callable(metadata) else metadata.get(path.relative_to(root).as_posix(), {})
            file = replace(file, note=note_of(known, file.path))
        yield file
