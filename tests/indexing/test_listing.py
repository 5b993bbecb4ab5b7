"""Indexing of entries and tables: metadata are kept by source, and the latest source counts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from in_memory_store import InMemoryStore, counts
from PIL import Image

from mmrag.errors import StoreError
from mmrag.images import ImagePolicy
from mmrag.indexing import Folder, ImageEntry, IndexReport, SourceLike, index_source, records
from mmrag.indexing.manifest import Manifest
from mmrag.testing import toy_encoder


@dataclass(frozen=True)
class Rows:
    """Prices by path."""

    prices: dict[str, float]
    name: str = "/shop.csv"

    def __iter__(self):
        return iter([ImageEntry(path, {"price": price}) for path, price in self.prices.items()])


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def manifest(tmp_path: Path):
    with Manifest(tmp_path / "m.sqlite", "c", "toy", toy_encoder().info.dim) as manifest:
        yield manifest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """Red, green and blue images; paths of rows start in it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for color in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), color).save(folder / f"{color}.png")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def index(manifest, store, folder):
    def run(rows: SourceLike | dict[str, float], **options) -> IndexReport:
        rows = Rows(rows) if isinstance(rows, dict) else rows
        return index_source(rows, manifest, store, embed, **options)

    return run


def embed(images) -> list[list[float]]:
    return toy_encoder().encode(images).tolist()


def test_a_second_run_leaves_alone_what_did_not_change(index, store):
    assert counts(index({"red.png": 1, "blue.png": 2})) == {"new": 2}
    before = dict(store.images)
    report = index({"red.png": 1, "blue.png": 2})
    assert (counts(report), report.embedded) == ({"unchanged": 2}, 0)
    assert store.images == before


def test_a_new_price_is_stored_without_embedding(index, store):
    index({"red.png": 1, "blue.png": 2})
    report = index({"red.png": 1, "blue.png": 3})
    assert (counts(report), report.embedded) == ({"changed": 1, "unchanged": 1}, 0)
    assert store.metadata("price") == {"red.png": 1, "blue.png": 3}


def test_an_entry_that_is_no_longer_listed_stays_unless_synced(index, store):
    index({"red.png": 1, "blue.png": 2})
    index({"red.png": 1})
    assert store.metadata("price") == {"red.png": 1, "blue.png": 2}
    assert counts(index({"red.png": 1}, sync=True)) == {"deleted": 1, "unchanged": 1}
    assert store.metadata("price") == {"red.png": 1}


def test_sync_keeps_a_file_that_another_source_names(index, store):
    index(Rows({"green.png": 9}, name="/other.csv"))
    index({"red.png": 1})
    index({"blue.png": 2}, sync=True)
    assert store.metadata("price") == {"green.png": 9, "blue.png": 2}


def test_sync_of_a_table_deletes_only_its_metadata_of_a_file_in_a_folder(index, store, manifest, folder):
    index_source(Folder(folder), manifest, store, embed)
    index({"red.png": 1})
    report = index({"green.png": 2}, sync=True)
    assert (counts(report), report.embedded) == ({"changed": 1, "deleted": 1}, 0)
    assert store.metadata("price") == {"red.png": None, "green.png": 2, "blue.png": None}


def test_indexing_the_folder_keeps_the_metadata_of_a_table(index, store, manifest, folder):
    index({"red.png": 1})
    assert counts(index_source(Folder(folder), manifest, store, embed)) == {"new": 2, "unchanged": 1}
    os.utime(folder / "red.png", (1, 1))
    index_source(Folder(folder), manifest, store, embed, sync=True)
    assert store.metadata("price")["red.png"] == 1


def test_a_source_without_changes_writes_nothing_to_the_vector_store(index, store, manifest, folder, monkeypatch):
    index({"red.png": 1, "blue.png": 2})
    (folder / "green.png").unlink()
    written: list[str] = []
    monkeypatch.setattr(store, "upsert", lambda images, _: written.extend(images))
    index_source(Folder(folder), manifest, store, embed)
    assert written == []
    assert counts(index({}, sync=True)) == {"deleted": 2}
    assert len(written) == 2  # without their prices: the folder has been remembered, too


def test_the_metadata_of_the_latest_source_count(index, store):
    index(Rows({"red.png": 1}, name="/b.csv"))
    index(Rows({"red.png": 2}, name="/a.csv"))
    assert store.metadata("price") == {"red.png": 2}
    index(Rows({"red.png": 3}, name="/b.csv"))
    assert store.metadata("price") == {"red.png": 3}


def test_the_metadata_of_the_first_of_two_files_with_one_image_count(index, store, folder):
    (folder / "twin.png").write_bytes((folder / "red.png").read_bytes())
    assert counts(index({"twin.png": 1, "red.png": 2})) == {"new": 1, "duplicate": 1}
    assert store.metadata("price") == {"red.png": 2}


def test_a_path_in_two_spellings_is_one_file_with_the_first_metadata(index, store, folder):
    spelt = {"red.png": 1, f"../{folder.name}/red.png": 2, str(folder / "red.png"): 3}
    assert counts(index(spelt)) == {"new": 1, "duplicate": 2}
    assert store.metadata("price") == {"red.png": 1}


def test_sync_removes_a_deleted_file_though_it_is_listed(index, store, folder):
    index({"red.png": 1, "blue.png": 2})
    (folder / "red.png").unlink()
    assert counts(index({"red.png": 1, "blue.png": 2})) == {"unchanged": 1, "skipped": 1}
    report = index({"red.png": 1, "blue.png": 2}, sync=True)
    assert counts(report) == {"deleted": 1, "unchanged": 1, "skipped": 1}
    assert store.metadata("price") == {"blue.png": 2}


def test_sync_removes_nothing_while_the_folder_is_missing(index, store, folder):
    rows = {str(folder / "red.png"): 1}
    index(rows)
    folder.rename(folder.with_name("unplugged"))
    assert counts(index(rows, sync=True)) == {"skipped": 1}
    assert len(store.images) == 1


def test_a_moved_file_keeps_its_vector(index, store, folder):
    index({"red.png": 1})
    (folder / "red.png").rename(folder / "rouge.png")
    report = index({"rouge.png": 1}, sync=True)
    assert (counts(report), report.embedded) == ({"moved": 1}, 0)
    assert store.metadata("price") == {"rouge.png": 1}


def test_a_row_that_the_vector_store_refuses_is_skipped_and_not_recorded(index, store, monkeypatch):
    def refuse(image):
        if image.metadata["price"] < 0:
            raise StoreError("below nothing")
        return image

    index({"red.png": 1})
    monkeypatch.setattr(store, "to_row", refuse)
    report = index({"red.png": -1, "blue.png": -2, "green.png": 3})
    assert counts(report) == {"new": 1, "skipped": 2}
    assert {skip.reason for skip in report.skipped} == {"below nothing"}
    assert store.metadata("price") == {"red.png": 1, "green.png": 3}
    assert counts(index({"red.png": 2, "blue.png": 2})) == {"changed": 1, "new": 1}


def test_a_changed_file_that_is_refused_loses_its_old_record(index, store, folder, monkeypatch):
    index({"red.png": 1, "blue.png": 2})
    Image.new("RGB", (8, 8), "pink").save(folder / "red.png")
    monkeypatch.setattr(store, "to_row", _refuse_above(5))
    assert counts(index({"red.png": 9, "blue.png": 9})) == {"skipped": 2}
    assert store.metadata("price") == {"blue.png": 2}


def test_metadata_refused_only_when_merged_skip_a_file_and_not_the_run(index, store, manifest, folder, monkeypatch):
    (folder / "twin.png").write_bytes((folder / "red.png").read_bytes())

    def only_one_fact(image):
        if len(image.metadata) > 1:
            raise StoreError("too much")
        return image

    monkeypatch.setattr(store, "to_row", only_one_fact)
    index({"red.png": 1})
    known = {"twin.png": {"stock": 1}}
    report = index_source(Folder(folder, known), manifest, store, embed)
    assert [(skip.path.name, skip.reason) for skip in report.skipped] == [("twin.png", "too much")]
    assert store.names() == {frozenset({n}) for n in ("red.png", "green.png", "blue.png")}
    assert store.metadata("price")["red.png"] == 1


def test_metadata_that_a_source_drops_can_skip_an_image_but_not_the_run(index, store, manifest, folder, monkeypatch):
    index({"red.png": 1, "blue.png": 2})
    index_source(Folder(folder), manifest, store, embed)

    def price_required(image):
        if "price" not in image.metadata:
            raise StoreError("no price")
        return image

    monkeypatch.setattr(store, "to_row", price_required)
    report = index({"blue.png": 2}, sync=True)
    assert [skip.path.name for skip in report.skipped] == ["red.png"]
    assert "red.png" not in store.metadata("price")


def test_a_refused_url_is_reported_without_its_secrets(index, store, manifest, monkeypatch):
    secret = "https://me:secret@shop.example/a.png?sig=secret"
    monkeypatch.setattr(records, "read_bytes", lambda *_: Path("red.png").read_bytes())
    monkeypatch.setattr(store, "to_row", _refuse_above(5))
    (skipped,) = index({secret: 9}).skipped
    assert skipped.name == "https://shop.example/a.png"
    with pytest.raises(StoreError) as told:
        index_source(Unkept(), manifest, store, embed)
    assert "secret" not in str(told.value)


class Unkept:
    """A list that says of a URL what cannot be kept."""

    name = "/tags.csv"

    def __iter__(self):
        return iter([ImageEntry("https://me:secret@shop.example/a.png?sig=secret", {"tags": []})])


def _refuse_above(limit):
    def refuse(image):
        if image.metadata["price"] > limit:
            raise StoreError("too dear")
        return image

    return refuse


def test_thousands_of_duplicates_are_read_in_pages(index, store, folder):
    for i in range(300):
        (folder / f"{i:03}.png").write_bytes((folder / "red.png").read_bytes())
    rows = {f"{i:03}.png": i for i in range(300)}
    assert counts(index(rows)) == {"new": 1, "duplicate": 299}
    (image,) = store.images.values()
    assert len(image.paths) == 100
    assert counts(index({"299.png": 299}, sync=True)) == {"deleted": 299, "unchanged": 1}
    assert store.metadata("price") == {"299.png": 299}


def test_only_what_the_policy_allows_is_read(index, folder):
    report = index({"red.png": 1, "/etc/hostname": 2}, policy=ImagePolicy(roots=[folder]))
    assert counts(report) == {"new": 1, "skipped": 1}
    assert "outside of the allowed folders" in report.skipped[0].reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("gone.png", "does not exist"),
        ("a\0b.png", "null"),
        ("loop/x.png", "loop of symbolic links|cannot be opened"),
        ("x" * 4_000, "cannot be opened"),
        ("\udcff.png", "UTF-8"),
        ("https://shop.example/\ud800.png", "UTF-8"),
        ("file:///etc/passwd", "scheme 'file'"),
        ("http://shop.example/a.png", "host 'shop.example'"),
        ("data:image/png;base64,AAAA", "does not exist|is no image"),
    ],
)
def test_an_unreadable_entry_is_skipped_with_the_reason(index, folder, source, reason):
    (folder / "loop").symlink_to("loop")
    report = index({source: 1, "red.png": 2})
    assert counts(report) == {"new": 1, "skipped": 1}
    assert re.search(reason, report.skipped[0].reason)
    assert counts(index({source: 1, "red.png": 2}, sync=True)) == {"unchanged": 1, "skipped": 1}


def test_progress_counts_up_to_all_rows(index):
    seen: list[tuple[int, int]] = []
    index({"red.png": 1, "no.png": 2}, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]
