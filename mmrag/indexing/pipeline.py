"""Indexing pipeline: plan, load, record, embed, upsert, commit. A killed run is completed by the next."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from PIL import Image

from mmrag.errors import SettingError, StoreError
from mmrag.images import ImagePolicy
from mmrag.images.redact import redact_url
from mmrag.indexing.manifest import FileRecord, Manifest
from mmrag.indexing.records import ImageRecord, LoadedFile, SourceFile, Vector, VectorStore, is_deleted, load_file
from mmrag.indexing.report import IndexReport, Skipped
from mmrag.indexing.sources import SourceLike, as_source

__all__ = ["Embed", "Progress", "index_source"]

T = TypeVar("T")
Embed = Callable[[Sequence[Image.Image]], Sequence[Vector]]
Progress = Callable[[int, int], None]
Outcome = LoadedFile | Skipped

BATCH = 128
BATCH_PIXELS = 100_000_000  # some 300 MB as RGB: large photographs make smaller batches
NUM_WORKERS = 4
MTIME_STEP_NS = 2_000_000_000  # a file edited so soon after a reading may keep its mtime: file systems count in steps


def index_source(
    source: SourceLike,
    manifest: Manifest,
    store: VectorStore,
    embed: Embed,
    *,
    sync: bool = False,
    verify: bool = False,
    policy: ImagePolicy | None = None,
    on_progress: Progress | None = None,
) -> IndexReport:
    """Bring a vector store up to date with a source; only new and changed images are embedded.

    URLs are fetched each time, for there is no other way to know what they hold.

    Parameters
    ----------
    source : str, path, Source or iterable of ImageEntry
        A folder, a table, a pattern, a file, or entries.
    manifest, store : Manifest, VectorStore
        The record of the collection, and the collection.
    embed : callable
        Embeds a sequence of PIL images.
    sync : bool, default False
        Also delete what the source holds no more: deleted files of a folder, entries that a table
        no longer names. An image that another source names stays.
    verify : bool, default False
        Hash every file and look up every image, instead of trusting size, time and manifest.
    policy : ImagePolicy, optional
        What may be read. By default, symbolic links may not lead out of a folder.
    on_progress : callable, optional
        Called with the number of files done, and of all files.

    Raises
    ------
    ImageError
        If a folder does not exist, or vanishes meanwhile.
    SettingError
        If the source cannot be opened, or ``sync`` is set for entries without a name.
    StoreError
        If the store or the manifest fails, or metadata are no text, number or boolean.
    """
    started = time.perf_counter()
    source = as_source(source)
    name = source.name
    if sync and not name:
        raise SettingError("sync needs a source with a name, to know what it held before: Entries(entries, name)")
    pipeline = _IndexingPipeline(source.key, manifest, store, embed, source.restrict(policy))
    pipeline.commit()  # what an interrupted run left pending
    listed: set[str] = set()
    files = source.files(listed)
    if on_progress:
        files = _with_progress(files, sum(1 for _ in source.files(set())), on_progress)
    pipeline.index(files, verify)
    if sync:
        pipeline.remove(source.deleted_files(manifest), manifest.delete_file)
        unlisted = source.unlisted_files(manifest, listed)
        pipeline.remove(unlisted, lambda path: manifest.delete_source(path, source.key))
    return IndexReport(
        os.fsencode(name).decode(errors="replace"),
        skipped=tuple(pipeline.skipped),
        seconds=time.perf_counter() - started,
        **pipeline.counts,
    )


@dataclass
class _IndexingPipeline:
    """One run over a source: each change is recorded in the manifest, then the vector store follows."""

    source: str  # its key in the manifest
    manifest: Manifest
    store: VectorStore
    embed: Embed
    policy: ImagePolicy
    counts: Counter[str] = field(default_factory=Counter[str])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    rows: dict[str, tuple[list[FileRecord], Any]] = field(default_factory=dict[str, tuple[list[FileRecord], Any]])

    def index(self, files: Iterable[SourceFile | Skipped], verify: bool) -> None:
        """Load, record and store the files that are new or changed."""
        with ThreadPoolExecutor(NUM_WORKERS, thread_name_prefix="mmrag-read") as pool:
            for batch in _batches(_prefetch(self._plan(files, pool, verify), 2 * NUM_WORKERS)):
                with self.manifest.transaction():
                    for outcome in batch:
                        if isinstance(outcome, Skipped):
                            self._record_skip(outcome)
                        else:
                            self._record_file(outcome, verify)
                loaded = [outcome for outcome in batch if isinstance(outcome, LoadedFile) and outcome.image]
                self.commit({file.image_id: file for file in loaded})

    def remove(self, files: Iterator[FileRecord], delete: Callable[[str], None]) -> None:
        """Delete records of files, batch by batch, and the images that no file holds any more."""
        while batch := list(islice(files, BATCH)):
            with self.manifest.transaction():
                for record in batch:
                    delete(record.path)
            self.counts["deleted"] += len(batch)
            self.commit()

    def commit(self, loaded: Mapping[str, LoadedFile] | None = None) -> None:
        """Make the vector store follow the manifest; images that are not ``loaded`` are read again if need be."""
        pending = self.manifest.pending()
        for start in range(0, len(pending), BATCH):
            self._commit_batch(pending[start : start + BATCH], loaded or {})
        self.rows.clear()

    def _commit_batch(self, ids: list[str], loaded: Mapping[str, LoadedFile]) -> None:
        stored = [i for i in ids if i not in loaded and self.manifest.files_of_image(i)]
        vectors = dict(self.store.vectors(stored)) if stored else {}
        missing = [i for i in ids if i not in vectors]
        for batch in _batches(file for i in missing if (file := loaded.get(i) or self._load_again(i))):
            embedded = self.embed([file.image for file in batch if file.image])
            vectors |= zip((file.image_id for file in batch), embedded, strict=True)
            self.counts["embedded"] += len(batch)
        rows = {i: row for i in ids if i in vectors and (row := self._merged_row(i)) is not None}
        if rows:
            self.store.upsert(list(rows.values()), [vectors[i] for i in rows])
        if len(rows) < len(ids):
            self.store.delete([i for i in ids if i not in rows])
        with self.manifest.transaction():
            self.manifest.mark_committed(ids)

    def _merged_row(self, image_id: str) -> Any:
        """Build the row of an image; a file whose metadata do not fit is dropped and reported."""
        while files := self.manifest.files_of_image(image_id):
            try:
                return self._to_row(files)
            except StoreError as error:
                last = files[-1].path
                self.skipped.append(Skipped(redact_url(last), str(error)))
                self.manifest.delete_file(last)
        return None

    def _to_row(self, files: list[FileRecord]) -> Any:
        """Convert an image to a row, unless the same files were converted in this batch."""
        image_id = files[0].image_id
        known, row = self.rows.get(image_id, (None, None))
        if known != files:
            row = self.store.to_row(ImageRecord.from_files(files))
            self.rows[image_id] = (files, row)
        return row

    def _load_again(self, image_id: str) -> LoadedFile | None:
        """Load an image again; records of files that no longer hold it are deleted, to be found anew."""
        anywhere = replace(self.policy, roots=None)  # where it was found was allowed
        while files := self.manifest.files_of_image(image_id):
            for record in files:
                loaded = load_file(SourceFile(record.path), anywhere)
                if isinstance(loaded, LoadedFile) and loaded.image_id == image_id:
                    return loaded
                self.manifest.delete_file(record.path)
        return None

    def _plan(
        self, files: Iterable[SourceFile | Skipped], pool: ThreadPoolExecutor, verify: bool
    ) -> Iterator[Outcome | Future[Outcome]]:
        for file in files:
            if isinstance(file, Skipped):
                yield file
                continue
            if file.is_repeat:
                self.counts["duplicate"] += 1
                continue
            record = self.manifest.get(file.path)
            if record is None or verify or not file.is_unchanged(record):
                yield pool.submit(load_file, file, self.policy, self.manifest.is_committed)
            elif record.metadata.get(self.source) != file.metadata:
                yield LoadedFile(file, record.image_id)
            else:
                self.counts["unchanged"] += 1

    def _record_skip(self, skipped: Skipped) -> None:
        self.skipped.append(skipped)
        if os.path.isfile(skipped.name):  # no image any more; what is out of reach may come back
            self.manifest.delete_file(skipped.name)

    def _record_file(self, loaded: LoadedFile, verify: bool) -> None:
        file, image_id = loaded.file, loaded.image_id
        old = self.manifest.get(file.path)
        same_image = [] if old else self.manifest.files_of_image(image_id)
        moved_from = [other.path for other in same_image if is_deleted(other.path)]
        mtime_ns = file.mtime_ns if time.time_ns() - file.mtime_ns > MTIME_STEP_NS else 0
        record = FileRecord(file.path, image_id, file.size, mtime_ns, {self.source: file.metadata})
        if old is None:
            kind = "moved" if moved_from else "duplicate" if same_image else "new"
            described = record
        else:
            same = old.image_id == image_id and old.metadata.get(self.source, "{}") == file.metadata
            kind = "unchanged" if same else "changed"
            others = {source: values for source, values in old.metadata.items() if source != self.source}
            described = replace(record, metadata={**others, **record.metadata})  # the latest source stands last
        if old and kind == "unchanged" and self.source in old.metadata:
            self.manifest.update_stat(record)
            if verify:
                self.manifest.mark_pending([image_id])
        else:
            try:
                self._to_row([described])
            except StoreError as error:
                self.skipped.append(Skipped(redact_url(file.path), str(error)))
                if old and old.image_id != image_id:  # what it held is not there any more
                    self.manifest.delete_file(file.path)
                return
            for path in moved_from:
                self.manifest.delete_file(path)
            nothing_new = kind == "unchanged" and not verify and self.manifest.is_committed(image_id)
            self.manifest.upsert(record)
            if nothing_new:  # one more source of the same
                self.manifest.mark_committed([image_id])
        self.counts[kind] += 1


def _with_progress(files: Iterator[T], total: int, on_progress: Progress) -> Iterator[T]:
    for done, file in enumerate(files):
        on_progress(done, total)
        yield file
    on_progress(total, total)


def _prefetch(items: Iterable[Outcome | Future[Outcome]], depth: int) -> Iterator[Outcome]:
    """Yield results in order, with up to ``depth`` items underway."""
    underway = deque[Outcome | Future[Outcome]]()
    for item in items:
        underway.append(item)
        if len(underway) == depth:
            yield _wait(underway.popleft())
    while underway:
        yield _wait(underway.popleft())


def _wait(item: Outcome | Future[Outcome]) -> Outcome:
    return item.result() if isinstance(item, Future) else item


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Group files by number and by pixels."""
    batch: list[T] = []
    pixels = 0
    for item in items:
        batch.append(item)
        if isinstance(item, LoadedFile) and item.image:
            pixels += item.image.width * item.image.height
        if len(batch) == BATCH or pixels > BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
