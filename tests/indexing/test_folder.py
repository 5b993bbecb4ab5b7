"""Indexing of a folder: new images are embedded, known ones left alone, bad files skipped with the reason."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from in_memory_store import InMemoryStore, counts
from PIL import Image

from mmrag.errors import ImageError, StoreError
from mmrag.images import ImagePolicy
from mmrag.indexing import Folder, IndexReport, index_source, pipeline
from mmrag.indexing.manifest import Manifest
from mmrag.testing import toy_encoder
from mmrag.testing.encoder import ToyEncoder

LONG_AGO = 1_600_000_000_000_000_000


def save(path: Path, color: str, mtime_ns: int = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for color in ("red", "green", "blue"):
        save(folder / f"{color}.png", color)
    return folder


@pytest.fixture
def index(tmp_path: Path, folder: Path, store: InMemoryStore):
    encoder = toy_encoder()

    def run(where: Path = folder, metadata=None, **options) -> IndexReport:
        with Manifest(tmp_path / "m.sqlite", "c", "toy", encoder.info.dim) as manifest:
            source = Folder(where, metadata)
            return index_source(source, manifest, store, lambda images: encoder.encode(images).tolist(), **options)

    return run


def test_every_image_is_stored_under_the_hash_of_its_file(index, folder, store):
    assert counts(index()) == {"new": 3}
    red = hashlib.sha256((folder / "red.png").read_bytes()).hexdigest()
    assert store.images[red].paths == (str(folder / "red.png"),)
    expected = toy_encoder().encode([folder / "red.png"])[0]
    np.testing.assert_allclose(store.stored_vectors[red], expected, rtol=1e-6)


def test_the_second_run_embeds_nothing(index, store):
    index()
    before = dict(store.images)
    report = index()
    assert (counts(report), report.embedded) == ({"unchanged": 3}, 0)
    assert store.images == before


def test_only_what_is_new_is_embedded(index, folder):
    index()
    save(folder / "deep" / "pink.png", "pink")
    report = index()
    assert (counts(report), report.embedded) == ({"new": 1, "unchanged": 3}, 1)


def test_an_edit_of_the_same_size_is_found_by_its_mtime(index, folder, store):
    index()
    size = (folder / "red.png").stat().st_size
    save(folder / "red.png", "#fe0000", LONG_AGO + 1)
    assert (folder / "red.png").stat().st_size == size
    report = index()
    assert (counts(report), report.embedded) == ({"changed": 1, "unchanged": 2}, 1)
    assert len(store.images) == 3


def test_verify_finds_an_edit_that_keeps_size_and_mtime(index, folder):
    index()
    save(folder / "red.png", "#fe0000", LONG_AGO)
    assert counts(index()) == {"unchanged": 3}
    assert counts(index(verify=True)) == {"changed": 1, "unchanged": 2}


def test_an_edit_right_after_a_run_is_found_though_the_mtime_is_the_same(index, folder):
    now = (folder / "red.png").stat().st_ctime_ns + 10**9
    save(folder / "red.png", "red", now)
    index()
    save(folder / "red.png", "#fe0000", now)
    assert counts(index()) == {"changed": 1, "unchanged": 2}


def test_a_moved_image_keeps_its_vector(index, folder, store):
    index()
    (folder / "red.png").rename(folder / "rouge.png")
    report = index()
    assert (counts(report), report.embedded) == ({"moved": 1, "unchanged": 2}, 0)
    assert store.names() == {frozenset({n}) for n in ("rouge.png", "green.png", "blue.png")}


def test_a_moved_folder_is_indexed_again_without_embedding(index, folder, store):
    index()
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    report = index(elsewhere)
    assert (counts(report), report.embedded) == ({"moved": 3}, 0)
    assert {Path(p.paths[0]).parent for p in store.images.values()} == {elsewhere}


def test_swapped_file_names_are_indexed_right(index, folder, store):
    index()
    red = toy_encoder().encode(["red"])[0]
    (folder / "red.png").rename(folder / "x")
    (folder / "blue.png").rename(folder / "red.png")
    (folder / "x").rename(folder / "blue.png")
    os.utime(folder / "red.png", ns=(LONG_AGO + 1,) * 2)
    os.utime(folder / "blue.png", ns=(LONG_AGO + 1,) * 2)
    index()
    reddest = max(store.stored_vectors, key=lambda image: float(np.dot(store.stored_vectors[image], red)))
    assert store.images[reddest].paths == (str(folder / "blue.png"),)
    assert len(store.images) == 3


def test_a_duplicate_image_is_stored_once_with_both_paths(index, folder, store):
    save(folder / "twin.png", "red")
    report = index()
    assert (counts(report), report.embedded) == ({"new": 3, "duplicate": 1}, 3)
    assert frozenset({"red.png", "twin.png"}) in store.names()


def test_an_image_stays_when_one_of_its_two_files_is_deleted(index, folder, store):
    save(folder / "twin.png", "red")
    index()
    (folder / "red.png").unlink()
    assert counts(index(sync=True)) == {"deleted": 1, "unchanged": 3}
    assert frozenset({"twin.png"}) in store.names()


def test_a_deleted_file_stays_in_the_index_unless_synced(index, folder, store):
    index()
    (folder / "red.png").unlink()
    assert counts(index()) == {"unchanged": 2}
    assert len(store.images) == 3
    assert counts(index(sync=True)) == {"deleted": 1, "unchanged": 2}
    assert len(store.images) == 2


def test_sync_leaves_other_folders_alone(index, folder, tmp_path, store):
    index()
    save(tmp_path / "photos2" / "pink.png", "pink")
    index(tmp_path / "photos2", sync=True)
    assert len(store.images) == 4


def test_a_folder_that_cannot_be_listed_loses_nothing(index, folder, store, monkeypatch):
    save(folder / "deep" / "pink.png", "pink")
    index()
    for name in ("scandir", "lstat"):
        monkeypatch.setattr(os, name, _refusing("deep", getattr(os, name)))
    report = index(sync=True)
    assert counts(report) == {"unchanged": 3, "skipped": 1}
    assert len(store.images) == 4


def test_a_file_that_cannot_be_accessed_does_not_count_as_deleted(index, folder, store, monkeypatch):
    save(folder / "deep" / "pink.png", "pink")
    index()
    (folder / "copy.png").write_bytes((folder / "deep" / "pink.png").read_bytes())
    monkeypatch.setattr(os, "lstat", _refusing("deep", os.lstat))
    assert counts(index(sync=True)) == {"duplicate": 1, "unchanged": 4}
    assert frozenset({"pink.png", "copy.png"}) in store.names()


def _refusing(part, look):
    def refuse(path, *args, **kwargs):
        if part in Path(path).parts:
            raise PermissionError(13, "Permission denied")
        return look(path, *args, **kwargs)

    return refuse


def test_sync_removes_a_file_that_a_folder_replaced(index, folder, store):
    index()
    (folder / "red.png").unlink()
    save(folder / "red.png" / "pink.png", "pink")
    assert counts(index(sync=True)) == {"new": 1, "deleted": 1, "unchanged": 2}
    assert store.names() == {frozenset({n}) for n in ("pink.png", "green.png", "blue.png")}
    shutil.rmtree(folder / "red.png")
    save(folder / "red.png", "red")
    assert counts(index(sync=True)) == {"new": 1, "deleted": 1, "unchanged": 2}


def test_sync_removes_a_folder_that_a_symbolic_link_replaced(index, folder, tmp_path, store):
    save(folder / "deep" / "pink.png", "pink")
    index()
    (folder / "deep").rename(tmp_path / "elsewhere")
    (folder / "deep").symlink_to(tmp_path / "elsewhere")
    assert counts(index(sync=True)) == {"deleted": 1, "unchanged": 3, "skipped": 1}
    assert len(store.images) == 3


def test_folders_deeper_than_python_can_call_are_searched(index, folder, store):
    place = os.open(folder, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=place)
        place, above = os.open("d", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    red = os.open("red.png", os.O_WRONLY | os.O_CREAT, dir_fd=place)
    os.write(red, (folder / "red.png").read_bytes())
    os.close(red)
    os.close(place)
    try:
        assert counts(index()) == {"new": 3, "duplicate": 1}
    finally:  # Python, and with it pytest, cannot
        subprocess.run(["rm", "-rf", folder / "d"], check=True)


def test_a_folder_whose_name_is_no_utf8_is_an_error_with_the_remedy(index, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    odd.mkdir()
    with pytest.raises(StoreError, match="no valid UTF-8: rename it"):
        index(odd, sync=True)


def test_verify_finds_an_image_missing_from_the_vector_store(index, store):
    index()
    store.delete(list(store.images)[:1])
    assert index().embedded == 0
    assert index(verify=True).embedded == 1
    assert len(store.images) == 3


def test_large_images_missing_from_the_vector_store_are_embedded_in_batches(index, store, monkeypatch):
    held: list[int] = []
    encode = ToyEncoder.encode
    monkeypatch.setattr(pipeline, "BATCH_PIXELS", 8 * 8)
    monkeypatch.setattr(ToyEncoder, "encode", lambda *a: held.append(len(a[1])) or encode(*a))
    index()
    store.delete(list(store.images))
    assert index(verify=True).embedded == 3
    assert held == [2, 1, 2, 1]
    assert len(store.images) == 3


def test_metadata_is_looked_up_by_relative_path_or_by_function(index, folder, store):
    save(folder / "deep" / "pink.png", "pink")
    index(metadata={"red.png": {"price": 3.5, "note": None}, "deep/pink.png": {"price": 4}})
    known = {Path(p.paths[0]).name: p.metadata for p in store.images.values()}
    assert known["red.png"] == {"price": 3.5}
    assert known["pink.png"] == {"price": 4}
    assert known["blue.png"] == {}
    report = index(metadata=lambda path: {"name": path.stem})
    assert (counts(report), report.embedded) == ({"changed": 4}, 0)
    assert {p.metadata["name"] for p in store.images.values()} == {"red", "green", "blue", "pink"}


@pytest.mark.parametrize("price", ["nan", "inf", "-inf"])
def test_a_metadata_value_that_is_nan_or_infinite_is_left_out(index, store, price):
    index(metadata=lambda _: {"price": float(price)})
    assert all(image.metadata == {} for image in store.images.values())


def test_metadata_that_cannot_be_stored_is_named(index):
    with pytest.raises(StoreError, match=r"blue\.png: tags=\['a'\] is list"):
        index(metadata=lambda _: {"tags": ["a"]})


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("empty.png", lambda p: p.write_bytes(b""), "empty"),
        ("text.jpg", lambda p: p.write_text("no image"), "no image that can be read"),
        ("big.png", lambda p: p.write_bytes(b"x" * 2_000_000), "the limit is 1,000,000"),
        ("out.png", lambda p: p.symlink_to("/etc/hostname"), "outside of the allowed folders"),
        ("loop.png", lambda p: p.symlink_to("loop.png"), "symbolic links"),
        ("pipe.png", os.mkfifo, "no regular file"),
    ],
)
def test_what_holds_no_image_is_skipped_with_the_reason(index, folder, name, write, reason):
    write(folder / name)
    report = index(policy=ImagePolicy(max_bytes=1_000_000))
    assert counts(report) == {"new": 3, "skipped": 1}
    assert report.skipped[0].path == folder / name
    assert reason in report.skipped[0].reason
    assert report.files == 4


def test_a_file_name_that_is_no_utf8_is_skipped(index, folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(b"")
    assert "UTF-8" in index().skipped[0].reason


def test_an_image_that_became_unreadable_is_deleted_from_the_index(index, folder, store):
    index()
    (folder / "red.png").write_text("overwritten")
    assert counts(index()) == {"unchanged": 2, "skipped": 1}
    assert len(store.images) == 2


def test_hidden_files_are_left_out(index, folder):
    save(folder / ".thumbs" / "a.png", "pink")
    save(folder / ".a.png", "pink")
    assert counts(index()) == {"new": 3}


def test_a_missing_folder_is_an_error(index, tmp_path):
    with pytest.raises(ImageError, match="nowhere is no folder"):
        index(tmp_path / "nowhere")


def test_a_folder_that_vanishes_during_a_run_is_an_error_and_removes_nothing(index, folder, store):
    index()

    def vanish(done: int, total: int) -> None:
        if done == 1:
            folder.rename(folder.with_name("elsewhere"))

    with pytest.raises(ImageError, match="vanished while it was read"):
        index(sync=True, on_progress=vanish)
    assert len(store.images) == 3


def test_progress_counts_up_to_all_files(index):
    seen: list[tuple[int, int]] = []
    index(on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_folder_that_holds_an_index_is_left_out(index, folder):
    save(folder / "shop.db" / "thumb.png", "pink")
    (folder / "shop.db" / "images.manifest.sqlite").touch()
    assert counts(index()) == {"new": 3}


def test_symbolic_links_may_lead_where_the_policy_allows(index, folder, tmp_path):
    (folder / "out.png").symlink_to(save(tmp_path / "originals" / "pink.png", "pink"))
    assert counts(index(policy=ImagePolicy(roots=[folder, tmp_path / "originals"]))) == {"new": 4}
