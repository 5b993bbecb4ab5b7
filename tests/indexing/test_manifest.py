"""The manifest remembers what should be so, and what the store has still to follow in."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import StoreError, StoreLockedError
from mmrag.indexing.manifest import Entry, Manifest

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)


def entry(path: str, image: str = "p", **changes) -> Entry:
    return Entry(path, image, size=1, mtime_ns=2, **changes)


@pytest.fixture
def manifest(tmp_path: Path):
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        yield manifest


def test_a_recorded_file_is_unsettled_until_the_store_has_followed(manifest):
    manifest.put(entry("/a"))
    assert manifest.unsettled() == ["p"]
    manifest.settle(["p"])
    assert manifest.settled("p")
    assert manifest.unsettled() == []


def test_a_file_with_a_new_image_unsettles_the_old_one_too(manifest):
    manifest.put(entry("/a", "old"))
    manifest.settle(["old"])
    manifest.put(entry("/a", "new"))
    assert sorted(manifest.unsettled()) == ["new", "old"]


def test_a_image_has_all_names_of_its_files_sorted(manifest):
    for path in ("/b", "/a", "/c"):
        manifest.put(entry(path))
    assert [name.path for name in manifest.names("p")] == ["/a", "/b", "/c"]


def test_a_settled_image_without_a_file_is_forgotten(manifest):
    manifest.put(entry("/a"))
    manifest.drop("/a")
    assert manifest.unsettled() == ["p"]
    manifest.settle(["p"])
    assert not manifest.settled("p")
    assert manifest.count() == (0, 0)


def test_a_touched_file_stays_settled(manifest):
    manifest.put(entry("/a"))
    manifest.settle(["p"])
    manifest.touch(Entry("/a", "p", size=7, mtime_ns=8))
    found = manifest.entry("/a")
    assert found is not None
    assert (found.size, found.mtime_ns) == (7, 8)
    assert manifest.settled("p")


def test_each_source_has_its_say_and_the_last_word_stands_last(manifest):
    for source, note in (("/t.csv", "1"), ("/u.csv", "2"), ("/t.csv", "3")):
        manifest.put(entry("/a", notes={source: note}))
    assert list(manifest.entry("/a").notes.items()) == [("/u.csv", "2"), ("/t.csv", "3")]


def test_a_file_lives_as_long_as_a_source_names_it(manifest):
    manifest.put(entry("/a", notes={"/t.csv": "1", "/u.csv": "2"}))
    manifest.settle(["p"])
    manifest.retract("/a", "/t.csv")
    assert manifest.entry("/a") == entry("/a", notes={"/u.csv": "2"})
    assert manifest.unsettled() == ["p"]
    manifest.retract("/a", "/u.csv")
    assert manifest.entry("/a") is None


@pytest.mark.parametrize("leave", ["drop", "forget"])
def test_a_file_that_comes_back_brings_nothing_that_was_said_before(manifest, leave):
    manifest.put(entry("/a", notes={"/t.csv": "1"}))
    manifest.drop("/a") if leave == "drop" else manifest.forget(["p"])
    manifest.put(entry("/a"))
    assert manifest.entry("/a") == entry("/a")


@given(mine=st.sets(names), others=st.sets(names))
def test_the_files_of_a_source_are_walked_and_no_others(mine, others):
    with Manifest(Path(":memory:"), "collection", "toy", 4) as manifest:
        for source, paths in (("mine", mine), ("others", others)):
            for path in paths:
                manifest.put(entry(path, notes={source: "{}"}))
        assert sorted(found.path for found in manifest.listed("mine")) == sorted(mine)


def test_files_may_be_retracted_while_they_are_walked(manifest):
    with manifest.transaction():
        for i in range(1200):
            manifest.put(entry(f"/f/{i}", notes={"/t.csv": "{}"}))
        for found in manifest.listed("/t.csv"):
            manifest.retract(found.path, "/t.csv")
    assert manifest.count() == (0, 0)


@given(folder=names, below=st.lists(names, unique=True), beside=names)
def test_the_files_below_a_folder_are_walked_and_no_others(folder, below, beside):
    with Manifest(Path(":memory:"), "collection", "toy", 4) as manifest:
        for name in below:
            manifest.put(entry(f"/{folder}/{name}"))
        manifest.put(entry(f"/{folder}{beside}"))
        found = [entry.path for entry in manifest.under(f"/{folder}")]
    assert sorted(found) == sorted(f"/{folder}/{name}" for name in below)


def test_files_may_be_dropped_while_they_are_walked(manifest):
    with manifest.transaction():
        for i in range(1200):
            manifest.put(entry(f"/f/{i}"))
        for found in manifest.under("/f"):
            manifest.drop(found.path)
    assert manifest.count() == (0, 0)


def test_a_failed_transaction_leaves_no_trace(manifest):
    with pytest.raises(RuntimeError), manifest.transaction():
        manifest.put(entry("/a"))
        raise RuntimeError
    assert manifest.entry("/a") is None


def test_it_lasts(tmp_path):
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        manifest.put(entry("/a"))
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        assert manifest.entry("/a") == entry("/a")


@pytest.mark.parametrize("owner", [("remade", "toy", 4), ("collection", "bge", 4)])
def test_the_record_of_another_collection_is_not_believed(tmp_path, owner):
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        manifest.put(entry("/a"))
    with Manifest(tmp_path / "m.sqlite", *owner) as manifest:
        assert manifest.count() == (0, 0)


def test_a_record_of_an_older_form_is_begun_anew(tmp_path):
    with sqlite3.connect(tmp_path / "m.sqlite") as older:
        older.execute("CREATE TABLE files (path TEXT PRIMARY KEY, image TEXT, metadata TEXT)")
        older.execute("INSERT INTO files VALUES ('/a', 'p', '{}')")
    with Manifest(tmp_path / "m.sqlite", "collection", "toy", 4) as manifest:
        manifest.put(entry("/b"))
        assert manifest.count() == (1, 1)


def test_a_damaged_file_is_named_with_the_remedy(tmp_path):
    (tmp_path / "m.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"m\.sqlite is damaged .* delete it"):
        Manifest(tmp_path / "m.sqlite", "collection", "toy", 4)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere.*check that you may write there"):
        Manifest(tmp_path / "nowhere" / "m.sqlite", "collection", "toy", 4)


def test_a_file_in_use_is_told_apart(manifest, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    with manifest.transaction(), pytest.raises(StoreLockedError, match="another process"):
        Manifest(manifest.file, "collection", "toy", 4)
