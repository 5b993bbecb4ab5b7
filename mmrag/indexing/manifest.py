"""What an index holds, file by file. In: files, and what is said of them. Out: what is still to do.

A redo log in SQLite: what should be so is recorded first, the vector store follows, then the
image is marked settled. What a killed process left unsettled, the next one brings about.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrag.errors import StoreError, StoreLockedError

__all__ = ["FOLDERS", "MANIFEST_SUFFIX", "Entry", "Manifest"]

MANIFEST_SUFFIX = ".manifest.sqlite"
FORM = 2
MOST_NAMES = 100  # "no image yet" may be in thousands of files, and be asked for with each
FOLDERS = ""
"""The source of what folders hold; tables and patterns are sources by their own path."""


@dataclass(frozen=True)
class Entry:
    """One file, as it was when it was last read, and what is said about it.

    Attributes
    ----------
    path
        Absolute path, or URL.
    image
        Id of the image in it: the SHA-256 of the file's content.
    size, mtime_ns
        What tells an edit without reading the file.
    notes
        The metadata that each source gives it, as canonical JSON; what was said last stands last.
    """

    path: str
    image_id: str
    size: int
    mtime_ns: int
    notes: Mapping[str, str] = field(default_factory=lambda: {FOLDERS: "{}"})


class Manifest:
    """The record of one collection; a context manager.

    Parameters
    ----------
    file
        The SQLite file, made when missing.
    collection, model, dim
        Whose record it is. A file written for another collection is emptied: that one is gone.

    Examples
    --------
    >>> with Manifest(Path(":memory:"), "c1", "toy", 124) as manifest:
    ...     with manifest.transaction():
    ...         manifest.put(Entry("/shop/a.jpg", "f00d", 10, 20))
    ...     manifest.unsettled()
    ['f00d']
    """

    def __init__(self, file: Path, collection: str, model: str, dim: int) -> None:
        self.file = file
        self._lock = threading.RLock()
        with self._told():
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=10)
            self._database.execute("PRAGMA foreign_keys = ON")
            if self._rows("PRAGMA user_version") != [(FORM,)]:
                self._database.executescript(FORGET_OLD_FORM)
            self._database.executescript(TABLES)
            self._belong_to((collection, model, str(dim)))

    def entry(self, path: str) -> Entry | None:
        """Look up a file."""
        found = self._entries("WHERE path = ?", path)
        return found[0] if found else None

    def names(self, image_id: str) -> list[Entry]:
        """List files that hold an image, by path; of very many, the first."""
        return self._entries(f"WHERE image = ? ORDER BY path LIMIT {MOST_NAMES}", image_id)

    def under(self, folder: str) -> Iterator[Entry]:
        """Walk the files recorded below a folder, by path; the record may change meanwhile."""
        last, end = f"{folder.rstrip('/')}/", f"{folder.rstrip('/')}0"  # "0" is what follows "/"
        while page := self._entries("WHERE path > ? AND path < ? ORDER BY path LIMIT 500", last, end):
            yield from page
            last = page[-1].path

    def listed(self, source: str) -> Iterator[Entry]:
        """Walk the files that a source names, by path; the record may change meanwhile."""
        last = ""
        while page := self._entries(
            "WHERE path IN (SELECT path FROM notes WHERE source = ? AND path > ? "
            "ORDER BY path LIMIT 500) ORDER BY path",
            source,
            last,
        ):
            yield from page
            last = page[-1].path

    def settled(self, image_id: str) -> bool:
        """Tell whether the store is known to hold the image, with all its names."""
        return bool(self._rows("SELECT 1 FROM images WHERE id = ? AND settled", image_id))

    def unsettled(self) -> list[str]:
        """List the images that the store has still to follow in."""
        return [image_id for (image_id,) in self._rows("SELECT id FROM images WHERE NOT settled")]

    def count(self) -> tuple[int, int]:
        """Count the files and the different images in them."""
        return self._rows("SELECT count(*), count(DISTINCT image) FROM files")[0]

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Record all that happens inside, or nothing."""
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # on a full disk, SQLite has rolled back itself
                    self._database.execute("ROLLBACK")
                raise

    def put(self, entry: Entry) -> None:
        """Record a file and what is said about it; what other sources said of it stays.

        Its image, and the one it held before, are no longer settled.
        """
        if (old := self.entry(entry.path)) and old.image_id != entry.image_id:
            self.unsettle([old.image_id])
        self._rows(
            "INSERT INTO files VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
            "image = excluded.image, size = excluded.size, mtime_ns = excluded.mtime_ns",
            entry.path,
            entry.image_id,
            entry.size,
            entry.mtime_ns,
        )
        for source, note in entry.notes.items():
            self._rows("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", source, entry.path, note)
        self.unsettle([entry.image_id])

    def touch(self, entry: Entry) -> None:
        """Record the new size and time of a file that still holds the same."""
        self._rows("UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?", entry.size, entry.mtime_ns, entry.path)

    def drop(self, path: str) -> None:
        """Forget a file; the image it held is no longer settled."""
        if old := self.entry(path):
            self._rows("DELETE FROM files WHERE path = ?", path)
            self.unsettle([old.image_id])

    def retract(self, path: str, source: str) -> None:
        """Forget what a source says of a file, and the file when no source names it any more."""
        if not (old := self.entry(path)):
            return
        if not old.notes.keys() - {source}:
            self.drop(path)
            return
        self._rows("DELETE FROM notes WHERE path = ? AND source = ?", path, source)
        self.unsettle([old.image_id])

    def unsettle(self, images: Iterable[str]) -> None:
        """Mark images that the store must be told about."""
        for image_id in images:
            self._rows("INSERT OR REPLACE INTO images (id, settled) VALUES (?, FALSE)", image_id)

    def settle(self, images: Iterable[str]) -> None:
        """Mark images that the store has followed in; those without a file are forgotten."""
        for image_id in images:
            self._rows("UPDATE images SET settled = TRUE WHERE id = ?", image_id)
            self._rows(
                "DELETE FROM images WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE image = ?1)", image_id
            )

    def forget(self, images: Iterable[str]) -> None:
        """Forget the files that hold images, which the store has still to remove."""
        with self.transaction():
            for image_id in images:
                self._rows("DELETE FROM files WHERE image = ?", image_id)
                self.unsettle([image_id])

    @contextmanager
    def alone(self) -> Generator[None]:
        """Refuse while another run is at work: two would write over each other's names."""
        with self.file.with_suffix(".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go when its process dies
            except BlockingIOError:
                raise self._in_use() from None
            yield

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _belong_to(self, owner: tuple[str, str, str]) -> None:
        with self.transaction():
            if self._rows("SELECT collection, model, dim FROM owner") == [owner]:
                return
            for table in ("files", "images", "owner"):
                self._rows(f"DELETE FROM {table}")
            self._rows("INSERT INTO owner (collection, model, dim) VALUES (?, ?, ?)", *owner)

    def _entries(self, where: str, *values: str) -> list[Entry]:
        columns = f"path, image, size, mtime_ns, {NOTES}"
        rows = self._rows(f"SELECT {columns} FROM files {where}", *values)
        return [Entry(*row[:4], notes=json.loads(row[4])) for row in rows]

    def _rows(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._told():
            return self._database.execute(statement, values).fetchall()

    def _in_use(self) -> StoreLockedError:
        return StoreLockedError(f"{self.file} is being written by another process: wait for it to finish")

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            with self._lock:
                yield
        except UnicodeEncodeError as error:
            raise StoreError(f"{error.object!r} is no valid UTF-8: rename it") from error
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise self._in_use() from error
            raise StoreError(
                f"the manifest {self.file} cannot be used ({error}): "
                "check that you may write there and that the disk has room"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"the manifest {self.file} is damaged ({error}): delete it, and index again: "
                "what is stored is looked up there"
            ) from error


NOTES = """(
    SELECT json_group_object(source, note) FROM (
        SELECT source, note FROM notes WHERE notes.path = files.path ORDER BY rowid
    )
)"""
FORGET_OLD_FORM = f"""
DROP TABLE IF EXISTS files;
DROP TABLE IF EXISTS images;
PRAGMA user_version = {FORM};
"""
TABLES = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY,
    image TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names ON files (image, path);
CREATE TABLE IF NOT EXISTS notes (
    source TEXT NOT NULL,
    path TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
    note TEXT NOT NULL,
    PRIMARY KEY (source, path)
);
CREATE INDEX IF NOT EXISTS said_of ON notes (path);
CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, settled INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unsettled ON images (id) WHERE NOT settled;
CREATE TABLE IF NOT EXISTS owner (collection TEXT, model TEXT, dim TEXT);
"""
