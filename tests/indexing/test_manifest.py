"""The manifest records files and their metadata, and which images are pending."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import StoreError, StoreLockedError
from mmrag.indexing.manifest import FileRecord, Manifest

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)


def entry(path: str, image: str = "p", **changes) -> FileRecord:
    return FileRecord(path, image, size=1, mtime_ns=2, **changes)


@pytest.fixture
def manifest(tmp_path: Path):
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        yield manifest


def test_a_recorded_image_is_pending_until_it_is_committed(manifest):
    manifest.upsert(entry("/a"))
    assert manifest.pending() == ["p"]
    manifest.mark_committed(["p"])
    assert manifest.is_committed("p")
    assert manifest.pending() == []


def test_a_file_with_a_new_image_marks_the_old_one_pending_too(manifest):
    manifest.upsert(entry("/a", "old"))
    manifest.mark_committed(["old"])
    manifest.upsert(entry("/a", "new"))
    assert sorted(manifest.pending()) == ["new", "old"]


def test_files_of_an_image_are_sorted_by_path(manifest):
    for path in ("/b", "/a", "/c"):
        manifest.upsert(entry(path))
    assert [name.path for name in manifest.files_of_image("p")] == ["/a", "/b", "/c"]


def test_a_committed_image_without_a_file_is_deleted(manifest):
    manifest.upsert(entry("/a"))
    manifest.delete_file("/a")
    assert manifest.pending() == ["p"]
    manifest.mark_committed(["p"])
    assert not manifest.is_committed("p")
    assert manifest.count() == (0, 0)


def test_update_stat_keeps_the_image_committed(manifest):
    manifest.upsert(entry("/a"))
    manifest.mark_committed(["p"])
    manifest.update_stat(FileRecord("/a", "p", size=7, mtime_ns=8))
    found = manifest.get("/a")
    assert found is not None
    assert (found.size, found.mtime_ns) == (7, 8)
    assert manifest.is_committed("p")


def test_metadata_are_kept_by_source_the_latest_last(manifest):
    for source, note in (("/t.csv", "1"), ("/u.csv", "2"), ("/t.csv", "3")):
        manifest.upsert(entry("/a", metadata={source: note}))
    assert list(manifest.get("/a").metadata.items()) == [("/u.csv", "2"), ("/t.csv", "3")]


def test_a_file_is_deleted_with_its_last_source(manifest):
    manifest.upsert(entry("/a", metadata={"/t.csv": "1", "/u.csv": "2"}))
    manifest.mark_committed(["p"])
    manifest.delete_source("/a", "/t.csv")
    assert manifest.get("/a") == entry("/a", metadata={"/u.csv": "2"})
    assert manifest.pending() == ["p"]
    manifest.delete_source("/a", "/u.csv")
    assert manifest.get("/a") is None


@pytest.mark.parametrize("leave", ["drop", "forget"])
def test_a_deleted_file_that_comes_back_has_no_old_metadata(manifest, leave):
    manifest.upsert(entry("/a", metadata={"/t.csv": "1"}))
    manifest.delete_file("/a") if leave == "drop" else manifest.delete_images(["p"])
    manifest.upsert(entry("/a"))
    assert manifest.get("/a") == entry("/a")


@given(mine=st.sets(names), others=st.sets(names))
def test_files_from_a_source_are_all_listed_and_no_others(mine, others):
    with Manifest(Path(":memory:"), "collection", "toy", 4) as manifest:
        for source, paths in (("mine", mine), ("others", others)):
            for path in paths:
                manifest.upsert(entry(path, metadata={source: "{}"}))
        assert sorted(found.path for found in manifest.files_from("mine")) == sorted(mine)


def test_a_source_may_be_deleted_during_iteration(manifest):
    with manifest.transaction():
        for i in range(1200):
            manifest.upsert(entry(f"/f/{i}", metadata={"/t.csv": "{}"}))
        for found in manifest.files_from("/t.csv"):
            manifest.delete_source(found.path, "/t.csv")
    assert manifest.count() == (0, 0)


@given(folder=names, below=st.lists(names, unique=True), beside=names)
def test_files_under_a_folder_are_all_listed_and_no_others(folder, below, beside):
    with Manifest(Path(":memory:"), "collection", "toy", 4) as manifest:
        for name in below:
            manifest.upsert(entry(f"/{folder}/{name}"))
        manifest.upsert(entry(f"/{folder}{beside}"))
        found = [entry.path for entry in manifest.files_under(f"/{folder}")]
    assert sorted(found) == sorted(f"/{folder}/{name}" for name in below)


def test_files_may_be_deleted_during_iteration(manifest):
    with manifest.transaction():
        for i in range(1200):
            manifest.upsert(entry(f"/f/{i}"))
        for found in manifest.files_under("/f"):
            manifest.delete_file(found.path)
    assert manifest.count() == (0, 0)


def test_a_failed_transaction_is_rolled_back(manifest):
    with pytest.raises(RuntimeError), manifest.transaction():
        manifest.upsert(entry("/a"))
        raise RuntimeError
    assert manifest.get("/a") is None


def test_the_manifest_persists(tmp_path):
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        manifest.upsert(entry("/a"))
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        assert manifest.get("/a") == entry("/a")


@pytest.mark.parametrize("owner", [("remade", "toy", 4), ("collection", "bge", 4)])
def test_a_manifest_of_another_collection_or_model_is_emptied(tmp_path, owner):
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        manifest.upsert(entry("/a"))
    with Manifest(tmp_path / "m.sqlite", *owner) as manifest:
        assert manifest.count() == (0, 0)


def test_a_manifest_of_an_older_schema_is_recreated(tmp_path):
    with sqlite3.connect(tmp_path / "m.sqlite") as older:
        older.execute("CREATE TABLE files (path TEXT PRIMARY KEY, image TEXT, metadata TEXT)")
        older.execute("INSERT INTO files VALUES ('/a', 'p', '{}')")
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        manifest.upsert(entry("/b"))
        assert manifest.count() == (1, 1)


def test_a_damaged_manifest_is_an_error_with_the_remedy(tmp_path):
    (tmp_path / "m.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"m\.sqlite is damaged .* delete it"):
        Manifest(tmp_path / "m.sqlite", "collection", "toy", 4)


def test_a_manifest_in_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere.*check that you may write there"):
        Manifest(tmp_path / "nowhere" / "m.sqlite", "collection", "toy", 4)


def test_a_manifest_in_use_is_a_locked_error(manifest, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    with manifest.transaction(), pytest.raises(StoreLockedError, match="another process"):
        Manifest(manifest.file, "collection", "toy", 4)
