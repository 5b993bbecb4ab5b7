"""One run over a source: read, record, embed, store, settle. Killed, it can go on."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Protocol, TypeVar

from PIL import Image

from mmrag.errors import StoreError
from mmrag.images import ImagePolicy
from mmrag.indexing.manifest import Entry, Manifest
from mmrag.indexing.records import Content, Found, ImageRecord, examine, is_gone
from mmrag.indexing.report import IndexReport, Skipped

__all__ = ["Embed", "Progress", "Run", "Shelf", "counted"]

T = TypeVar("T")
Vector = Sequence[float]
Embed = Callable[[Sequence[Image.Image]], Sequence[Vector]]
Progress = Callable[[int, int], None]

BATCH = 128
BATCH_PIXELS = 100_000_000  # some 300 MB as RGB: large photographs make smaller batches
READERS = 4


class Shelf(Protocol):
    """Where images and their vectors are kept, by id."""

    def check(self, image: ImageRecord) -> None:
        """Raise `StoreError` for an image that cannot be kept, for what is said about it."""
        ...

    def upsert(self, images: Sequence[ImageRecord], vectors: Sequence[Vector]) -> None:
        """Write images, over those with the same id."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove images."""
        ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        """Fetch the vectors of those ids that are there."""
        ...


class Run:
    """The state of one run: whose images, where to, and the counts so far.

    Parameters
    ----------
    source
        What the manifest remembers the images by.
    manifest, shelf, embed
        What was done before, where images go, and what turns them into vectors.
    policy
        What may be read.
    """

    def __init__(self, source: str, manifest: Manifest, shelf: Shelf, embed: Embed, policy: ImagePolicy) -> None:
        self.source = source
        self.manifest = manifest
        self.shelf = shelf
        self.embed = embed
        self.policy = policy
        self.started = time.perf_counter()
        self.counts = Counter[str]()
        self.skipped: list[Skipped] = []

    def report(self, name: str) -> IndexReport:
        """Sum up what was done with what ``name`` names."""
        seconds = time.perf_counter() - self.started
        name = os.fsencode(name).decode(errors="replace")
        return IndexReport(name, skipped=tuple(self.skipped), seconds=seconds, **self.counts)

    def add(self, found: Iterable[Found | Skipped], verify: bool) -> None:
        """Index images, those that are unchanged left alone."""
        tasks = self._tasks(found, verify)
        with ThreadPoolExecutor(READERS, thread_name_prefix="mmrag-read") as pool:
            for batch in _batches(_ahead(pool, tasks, 2 * READERS), _image_of):
                with self.manifest.transaction():
                    for item in batch:
                        if isinstance(item, Skipped):
                            self._skip(item)
                        else:
                            self._record(item, verify)
                contents = [item for item in batch if isinstance(item, Content)]
                self.settle({item.image_id: item.image for item in contents if item.image})

    def remove(self, gone: Iterable[Entry], forget: Callable[[str], None]) -> None:
        """Forget files, batch by batch, and remove the images that no file holds any more."""
        entries = iter(gone)
        while batch := list(islice(entries, BATCH)):
            with self.manifest.transaction():
                for entry in batch:
                    forget(entry.path)
            self.counts["deleted"] += len(batch)
            self.settle()

    def settle(self, images: Mapping[str, Image.Image] | None = None) -> None:
        """Make the shelf follow the manifest in all that is unsettled."""
        images = images or {}
        ids = self.manifest.unsettled()
        for start in range(0, len(ids), BATCH):
            self._settle(ids[start : start + BATCH], images)

    def _settle(self, ids: list[str], images: Mapping[str, Image.Image]) -> None:
        vectors = dict(self.shelf.vectors([i for i in ids if i not in images and self._named(i)]))
        missing = [i for i in ids if i not in vectors]
        seen = ((i, image) for i in missing if (image := images.get(i) or self._image(i)))
        for batch in _batches(seen, lambda item: item[1]):
            fresh = self.embed([image for _, image in batch])
            vectors |= zip((i for i, _ in batch), fresh, strict=True)
            self.counts["embedded"] += len(batch)
        records = [record for i in ids if i in vectors and (record := self._kept(i))]
        self.shelf.upsert(records, [vectors[record.id] for record in records])
        self.shelf.delete(sorted(set(ids) - {record.id for record in records}))
        with self.manifest.transaction():
            self.manifest.settle(ids)

    def _named(self, image: str) -> bool:
        return bool(self.manifest.names(image))

    def _kept(self, image: str) -> ImageRecord | None:
        """Gather what is known of an image, without the files whose share is too much."""
        while names := self.manifest.names(image):
            whole = ImageRecord.of(names)
            try:
                self.shelf.check(whole)
            except StoreError as error:
                last = names[-1].path
                self.skipped.append(Skipped(Found(last).name, str(error)))
                self.manifest.drop(last)
            else:
                return whole
        return None

    def _image(self, image: str) -> Image.Image | None:
        """Read an image again; files that no longer hold it are forgotten, to be found anew."""
        anywhere = replace(self.policy, roots=None)  # where it was found was allowed
        while names := self.manifest.names(image):
            for entry in names:
                content = examine(Found(entry.path), lambda _: False, anywhere)
                if isinstance(content, Content) and content.image_id == image:
                    return content.image
                self.manifest.drop(entry.path)
        return None

    def _tasks(self, found: Iterable[Found | Skipped], verify: bool) -> Iterator[Callable[[], Content | Skipped]]:
        for item in found:
            if isinstance(item, Skipped):
                yield partial(_same, item)
                continue
            entry = self.manifest.entry(item.path)
            if entry is None or verify or not item.untouched_since(entry):
                yield partial(examine, item, self.manifest.settled, self.policy)
            elif entry.notes.get(self.source) != item.note:
                yield partial(_same, Content(item, entry.image_id))
            else:
                self.counts["unchanged"] += 1

    def _skip(self, item: Skipped) -> None:
        self.skipped.append(item)
        if os.path.isfile(item.name):  # no image any more; what is out of reach may come back
            self.manifest.drop(item.name)

    def _record(self, content: Content, verify: bool) -> None:
        entry = content.found.holding(content.image_id, self.source)
        old = self.manifest.entry(entry.path)
        gone = [] if old else self._gone(entry.image_id)
        kind = self._kind(entry, old, gone)
        if old and kind == "unchanged" and self.source in old.notes:
            self.manifest.touch(entry)
            if verify:
                self.manifest.unsettle([entry.image_id])
        else:
            told = replace(entry, notes={**old.notes, **entry.notes}) if old else entry
            try:
                self.shelf.check(ImageRecord.of([told]))
            except StoreError as error:
                self.skipped.append(Skipped(content.found.name, str(error)))
                if old and old.image_id != entry.image_id:  # what it held is not there any more
                    self.manifest.drop(entry.path)
                return
            for path in gone:
                self.manifest.drop(path)
            settled = self.manifest.settled(entry.image_id)
            self.manifest.put(entry)
            if kind == "unchanged" and settled and not verify:  # one more source, nothing more said
                self.manifest.settle([entry.image_id])
        self.counts[kind] += 1

    def _kind(self, entry: Entry, old: Entry | None, gone: Sequence[str]) -> str:
        if old:
            known, said = old.notes.get(self.source, "{}"), entry.notes[self.source]
            return "unchanged" if (old.image_id, known) == (entry.image_id, said) else "changed"
        return "moved" if gone else "duplicate" if self.manifest.names(entry.image_id) else "new"

    def _gone(self, image: str) -> list[str]:
        names = self.manifest.names(image)
        return [entry.path for entry in names if is_gone(entry.path)]


def counted(find: Callable[[], Iterable[T]], on_progress: Progress | None) -> Iterator[T]:
    """Find things, and tell how many of how many are done."""
    if on_progress is None:
        yield from find()
        return
    total = sum(1 for _ in find())
    for done, item in enumerate(find()):
        on_progress(done, total)
        yield item
    on_progress(total, total)


def _same(item: Content | Skipped) -> Content | Skipped:
    return item


def _image_of(item: Content | Skipped) -> Image.Image | None:
    return item.image if isinstance(item, Content) else None


def _ahead(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], T]], depth: int) -> Iterator[T]:
    running = deque[Future[T]]()
    for task in tasks:
        running.append(pool.submit(task))
        if len(running) == depth:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _batches(items: Iterable[T], image_of: Callable[[T], Image.Image | None]) -> Iterator[list[T]]:
    batch: list[T] = []
    pixels = 0
    for item in items:
        batch.append(item)
        if (image := image_of(item)) is not None:
            pixels += image.width * image.height
        if len(batch) == BATCH or pixels > BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
