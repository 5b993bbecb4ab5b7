"""One run over a folder: find, read, record, embed, store, settle. Killed, it can go on."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from PIL import Image

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy
from mmrag.indexing.files import Content, Found, Metadata, Picture, described, read, walk
from mmrag.indexing.report import IndexReport, Skipped
from mmrag.manifest import Entry, Manifest

__all__ = ["Embed", "Shelf", "index_folder"]

T = TypeVar("T")
Vector = Sequence[float]
Embed = Callable[[Sequence[Image.Image]], Sequence[Vector]]

BATCH = 128
BATCH_PIXELS = 100_000_000  # some 300 MB as RGB: large photographs make smaller batches
READERS = 4


class Shelf(Protocol):
    """Where pictures and their vectors are kept, by id."""

    def upsert(self, pictures: Sequence[Picture], vectors: Sequence[Vector]) -> None:
        """Write pictures, over those with the same id."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove pictures."""
        ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Fetch the vectors of those ids that are there."""
        ...


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
    on_progress: Callable[[int, int], None] | None = None,
) -> IndexReport:
    """Bring a shelf up to date with a folder: only what is new or changed is embedded.

    Parameters
    ----------
    folder
        Searched with its sub-folders; hidden files are left out.
    manifest, shelf
        What was done before, and where pictures go.
    embed
        Turns pictures into vectors.
    metadata
        What is known about a file: a function of its path, or a mapping by relative path.
    sync
        Also remove what is no longer in the folder.
    verify
        Trust neither size and time of files nor the shelf: hash every file, look up every picture.
    policy
        How large a picture may be.
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
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise ImageError(f"{folder} is no folder: check the path")
    run = _Run(root, manifest, shelf, embed, policy or ImagePolicy())
    run.settle()
    run.add(_counted(walk(root), root, on_progress), metadata, verify)
    if not root.is_dir():
        raise ImageError(f"{folder} vanished while it was read: nothing in the index was removed")
    if sync:
        run.remove_missing()
    return run.report()


class _Run:
    """The state of one run: where to, and the counts so far."""

    def __init__(
        self, root: Path, manifest: Manifest, shelf: Shelf, embed: Embed, policy: ImagePolicy
    ) -> None:
        self.root = root
        self.manifest = manifest
        self.shelf = shelf
        self.embed = embed
        self.policy = policy
        self.started = time.perf_counter()
        self.counts = Counter[str]()
        self.skipped: list[Skipped] = []

    def report(self) -> IndexReport:
        seconds = time.perf_counter() - self.started
        return IndexReport(self.root, skipped=tuple(self.skipped), seconds=seconds, **self.counts)

    def add(
        self, files: Iterable[Found | Skipped], metadata: Metadata | None, verify: bool
    ) -> None:
        """Index files, those that are unchanged left alone."""
        tasks = self._tasks(files, metadata, verify)
        with ThreadPoolExecutor(READERS, thread_name_prefix="mmrag-read") as pool:
            for batch in _batches(_ahead(pool, tasks, 2 * READERS)):
                with self.manifest.transaction():
                    for item in batch:
                        if isinstance(item, Skipped):
                            self._skip(item)
                        else:
                            self._record(item, verify)
                contents = [item for item in batch if isinstance(item, Content)]
                self.settle({item.picture: item.image for item in contents if item.image})

    def _tasks(
        self, files: Iterable[Found | Skipped], metadata: Metadata | None, verify: bool
    ) -> Iterator[Callable[[], Content | Skipped]]:
        for file in files:
            if isinstance(file, Skipped):
                yield partial(_same, file)
                continue
            found = replace(file, note=described(file.path, self.root, metadata))
            entry = self.manifest.entry(str(found.path))
            untouched = entry and (entry.size, entry.mtime_ns) == (found.size, found.mtime_ns)
            if entry is None or verify or not untouched:
                yield partial(read, found, self.manifest.settled, self.policy, self.root)
            elif entry.metadata != found.note:
                yield partial(_same, Content(found, entry.picture, None))
            else:
                self.counts["unchanged"] += 1

    def remove_missing(self) -> None:
        """Remove the files that are gone, except below folders that could not be listed."""
        unseen = tuple(f"{skip.path}/" for skip in self.skipped if skip.path.is_dir())
        gone = (
            entry.path
            for entry in self.manifest.under(str(self.root))
            if not os.path.lexists(entry.path) and not entry.path.startswith(unseen)
        )
        while batch := list(islice(gone, BATCH)):
            with self.manifest.transaction():
                for path in batch:
                    self.manifest.drop(path)
            self.counts["deleted"] += len(batch)
            self.settle()

    def settle(self, images: Mapping[str, Image.Image] | None = None) -> None:
        """Make the shelf follow the manifest in all that is unsettled."""
        images = images or {}
        pictures = self.manifest.unsettled()
        for start in range(0, len(pictures), BATCH):
            self._settle(pictures[start : start + BATCH], images)

    def _settle(self, ids: list[str], images: Mapping[str, Image.Image]) -> None:
        stored = self.shelf.vectors([i for i in ids if i not in images and self._named(i)])
        to_embed: dict[str, Image.Image] = {}
        for picture in ids:
            if picture in stored:
                continue
            image = images.get(picture) or self._image(picture)
            if image is not None:
                to_embed[picture] = image
        fresh = zip(to_embed, self.embed(list(to_embed.values())), strict=True)
        vectors = {**stored, **dict(fresh)}
        present = [i for i in ids if i in vectors and self._named(i)]
        self.shelf.upsert(
            [Picture.of(self.manifest.names(i)) for i in present], [vectors[i] for i in present]
        )
        self.shelf.delete([i for i in ids if i not in present])
        with self.manifest.transaction():
            self.manifest.settle(ids)
        self.counts["embedded"] += len(to_embed)

    def _named(self, picture: str) -> bool:
        return bool(self.manifest.names(picture))

    def _image(self, picture: str) -> Image.Image | None:
        """Read a picture again; files that no longer hold it are forgotten, to be found anew."""
        for entry in self.manifest.names(picture):
            path = Path(entry.path)
            content = read(Found(path, 0, 0), lambda _: False, self.policy, path.parent.resolve())
            if isinstance(content, Content) and content.picture == picture:
                return content.image
            self.manifest.drop(entry.path)
        return None

    def _skip(self, item: Skipped) -> None:
        self.skipped.append(item)
        if item.path.is_file():  # it holds something else now; what cannot be reached may come back
            self.manifest.drop(str(item.path))

    def _record(self, content: Content, verify: bool) -> None:
        entry = content.found.holding(content.picture)
        old = self.manifest.entry(entry.path)
        kind = self._kind(entry, old)
        self.counts[kind] += 1
        if kind != "unchanged":
            self.manifest.put(entry)
            return
        self.manifest.touch(entry)
        if verify:
            self.manifest.unsettle([entry.picture])

    def _kind(self, entry: Entry, old: Entry | None) -> str:
        if old is not None:
            same = (old.picture, old.metadata) == (entry.picture, entry.metadata)
            return "unchanged" if same else "changed"
        names = self.manifest.names(entry.picture)
        gone = [name.path for name in names if not os.path.lexists(name.path)]
        for path in gone:
            self.manifest.drop(path)
        return "moved" if gone else "duplicate" if names else "new"


def _same(item: Content | Skipped) -> Content | Skipped:
    return item


def _counted(
    files: Iterable[Found | Skipped], root: Path, on_progress: Callable[[int, int], None] | None
) -> Iterator[Found | Skipped]:
    if on_progress is None:
        yield from files
        return
    total = sum(1 for _ in walk(root))
    for done, file in enumerate(files):
        on_progress(done, total)
        yield file
    on_progress(total, total)


def _ahead(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], T]], depth: int) -> Iterator[T]:
    running = deque[Future[T]]()
    for task in tasks:
        running.append(pool.submit(task))
        if len(running) == depth:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _batches(items: Iterable[Content | Skipped]) -> Iterator[list[Content | Skipped]]:
    batch: list[Content | Skipped] = []
    pixels = 0
    for item in items:
        batch.append(item)
        if isinstance(item, Content) and item.image is not None:
            pixels += item.image.width * item.image.height
        if len(batch) == BATCH or pixels > BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
