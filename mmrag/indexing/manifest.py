"""Manifest of a collection: the files it holds, and the images that are still to be written to the vector store."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mmrag.errors import StoreError, StoreLockedError

__all__ = ["FOLDER_SOURCE", "MANIFEST_SUFFIX", "FileRecord", "Manifest"]

MANIFEST_SUFFIX = ".manifest.sqlite"
SCHEMA_VERSION = 3
MAX_PATHS = 100  # "no image yet" may be in thousands of files, and would be read with each
FOLDER_SOURCE = ""  # the source of what folders hold; tables and patterns are sources by their own path


@dataclass(frozen=True)
class FileRecord:
    """One file as it was when it was last read, with its metadata by source as canonical JSON."""

    path: str  # absolute, or a URL
    image_id: str
    size: int  # size and time reveal an edit without reading the file
    mtime_ns: int
    metadata: Mapping[str, str] = field(default_factory=lambda: {FOLDER_SOURCE: "{}"})  # the latest source stands last


class Manifest(AbstractContextManager["Manifest", None]):
    """A redo log in SQLite of the files of one collection; emptied for another collection, model or vector length.

    A change is recorded first, the vector store is updated, then the image is marked as committed. What a killed
    process left pending, the next one completes.
    """

    def __init__(self, file: Path, collection: str, model: str, dim: int) -> None:
        self.file = file
        self._thread_lock = threading.Lock()
        try:
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10)
            self._database.execute("PRAGMA foreign_keys = ON")
            with self.transaction():
                self._open_tables((collection, model, str(dim)))
        except sqlite3.DatabaseError as error:
            raise self._translate(error) from error

    def __exit__(self, *failure: object) -> None:
        self._database.close()

    def get(self, path: str) -> FileRecord | None:
        """Look up a file."""
        return next(iter(self._files("WHERE path = ?", path)), None)

    def files_of_image(self, image_id: str) -> list[FileRecord]:
        """List the files that hold an image, by path; of very many, the first."""
        return self._files(f"WHERE image = ? ORDER BY path LIMIT {MAX_PATHS}", image_id)

    def files_under(self, folder: str) -> Iterator[FileRecord]:
        """Iterate over the files below a folder, by path; the manifest may change meanwhile."""
        folder = folder.rstrip(os.sep)
        last, end = folder + os.sep, folder + chr(ord(os.sep) + 1)
        while page := self._files("WHERE path > ? AND path < ? ORDER BY path LIMIT 500", last, end):
            yield from page
            last = page[-1].path

    def files_from(self, source: str) -> Iterator[FileRecord]:
        """Iterate over the files that a source names, by path; the manifest may change meanwhile."""
        named = "SELECT path FROM metadata WHERE source = ? AND path > ? ORDER BY path LIMIT 500"
        last = ""
        while page := self._files(f"WHERE path IN ({named}) ORDER BY path", source, last):
            yield from page
            last = page[-1].path

    def is_committed(self, image_id: str) -> bool:
        """Return True if the vector store is known to hold the image, with all its files."""
        pending = "SELECT 1 FROM pending WHERE image = ?1"
        return bool(self._execute(f"SELECT 1 FROM files WHERE image = ?1 AND NOT EXISTS ({pending}) LIMIT 1", image_id))

    def pending(self) -> list[str]:
        """List the images that are still to be updated in the vector store."""
        return [image_id for (image_id,) in self._execute("SELECT image FROM pending ORDER BY image")]

    def count(self) -> tuple[int, int]:
        """Count the files and the different images in them."""
        return self._execute("SELECT count(*), count(DISTINCT image) FROM files")[0]

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Record all changes of the block, or none."""
        try:
            with self._thread_lock:
                self._database.execute("BEGIN IMMEDIATE")
            yield
            with self._thread_lock:
                self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:  # on a full disk, SQLite has rolled back itself
                self._database.rollback()
            if isinstance(error, sqlite3.DatabaseError):
                raise self._translate(error) from error
            raise

    def upsert(self, record: FileRecord) -> None:
        """Record a file and its metadata; its image and the one it held before become pending.

        Metadata of other sources stay.
        """
        self._execute(f"{MARK_IMAGE_OF_FILE} UNION SELECT ?", record.path, record.image_id)
        self._execute(UPSERT_FILE, record.path, record.image_id, record.size, record.mtime_ns)
        for source, values in record.metadata.items():
            self._execute("INSERT OR REPLACE INTO metadata VALUES (?, ?, ?)", source, record.path, values)

    def update_stat(self, record: FileRecord) -> None:
        """Record the new size and time of a file whose content is the same."""
        statement = "UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?"
        self._execute(statement, record.size, record.mtime_ns, record.path)

    def delete_file(self, path: str) -> None:
        """Delete the record of a file; the image it held becomes pending."""
        self._execute(MARK_IMAGE_OF_FILE, path)
        self._execute("DELETE FROM files WHERE path = ?", path)

    def delete_source(self, path: str, source: str) -> None:
        """Delete a source's metadata of a file, and the file with its last source."""
        self._execute(MARK_IMAGE_OF_FILE, path)
        self._execute("DELETE FROM metadata WHERE path = ? AND source = ?", path, source)
        self._execute("DELETE FROM files WHERE path = ?1 AND NOT EXISTS (SELECT 1 FROM metadata WHERE path = ?1)", path)

    def delete_images(self, image_ids: Sequence[str]) -> None:
        """Delete the records of all files that hold images; the images become pending."""
        with self.transaction():
            for image_id in image_ids:
                self._execute("DELETE FROM files WHERE image = ?", image_id)
            self.mark_pending(image_ids)

    def mark_pending(self, image_ids: Iterable[str]) -> None:
        """Mark images that are to be updated in the vector store."""
        for image_id in image_ids:
            self._execute("INSERT OR IGNORE INTO pending VALUES (?)", image_id)

    def mark_committed(self, image_ids: Iterable[str]) -> None:
        """Mark images that are up to date in the vector store."""
        for image_id in image_ids:
            self._execute("DELETE FROM pending WHERE image = ?", image_id)

    def lock(self) -> AbstractContextManager[object]:
        """Lock the collection for one run, until the block ends or its process dies.

        Raises `StoreLockedError` if another run holds the lock: two would overwrite each other's records.
        """
        try:
            return FileLock(self.file.with_suffix(".lock")).acquire(timeout=0)
        except Timeout:
            raise self._locked_error() from None
        except OSError as error:
            raise self._unusable_error(error) from error

    def _open_tables(self, owner: tuple[str, str, str]) -> None:
        execute = self._database.execute
        if execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
            for statement in SCHEMA.split(";"):  # not executescript, which commits
                execute(statement)
        if execute("SELECT collection, model, dim FROM owner").fetchall() != [owner]:
            for table in ("files", "pending", "owner"):
                execute(f"DELETE FROM {table}")
            execute("INSERT INTO owner (collection, model, dim) VALUES (?, ?, ?)", owner)

    def _files(self, where: str, *values: str) -> list[FileRecord]:
        rows = self._execute(f"SELECT path, image, size, mtime_ns, {METADATA} FROM files {where}", *values)
        return [FileRecord(*row[:4], metadata=json.loads(row[4])) for row in rows]

    def _execute(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        try:
            with self._thread_lock:
                return self._database.execute(statement, values).fetchall()
        except (UnicodeEncodeError, sqlite3.DatabaseError) as error:
            raise self._translate(error) from error

    def _translate(self, error: UnicodeEncodeError | sqlite3.DatabaseError) -> StoreError:
        if isinstance(error, UnicodeEncodeError):
            return StoreError(f"{error.object!r} is no valid UTF-8: rename it")
        if not isinstance(error, sqlite3.OperationalError):
            return StoreError(
                f"the manifest {self.file} is damaged ({error}): delete it, and index again: "
                "what is stored is looked up there"
            )
        return self._locked_error() if "locked" in str(error) else self._unusable_error(error)

    def _locked_error(self) -> StoreLockedError:
        return StoreLockedError(f"{self.file} is being written by another process: wait for it to finish")

    def _unusable_error(self, error: Exception) -> StoreError:
        return StoreError(
            f"the manifest {self.file} cannot be used ({error}): "
            "check that you may write there and that the disk has room"
        )


MARK_IMAGE_OF_FILE = "INSERT OR IGNORE INTO pending SELECT image FROM files WHERE path = ?"
UPSERT_FILE = """INSERT INTO files VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE
    SET image = excluded.image, size = excluded.size, mtime_ns = excluded.mtime_ns"""
METADATA = """(SELECT json_group_object(source, value) FROM
    (SELECT source, value FROM metadata WHERE metadata.path = files.path ORDER BY rowid))"""
SCHEMA = f"""
DROP TABLE IF EXISTS metadata;
DROP TABLE IF EXISTS files;
DROP TABLE IF EXISTS pending;
DROP TABLE IF EXISTS owner;
CREATE TABLE files (path TEXT PRIMARY KEY, image TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX files_of_image ON files (image, path);
CREATE TABLE metadata (source TEXT NOT NULL, path TEXT NOT NULL REFERENCES files ON DELETE CASCADE, value TEXT NOT NULL,
    PRIMARY KEY (source, path));
CREATE INDEX metadata_of_file ON metadata (path);
CREATE TABLE pending (image TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE owner (collection TEXT, model TEXT, dim TEXT);
PRAGMA user_version = {SCHEMA_VERSION}"""
