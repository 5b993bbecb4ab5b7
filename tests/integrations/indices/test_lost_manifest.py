"""The manifest lost or damaged, or a run cut off: nothing is doubled, kept or lost for that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from in_memory_store import counts
from indexing_worker import open_toy_index
from llama_index.indices.composed_image import ComposedImageIndex
from PIL import Image

from mmrag.errors import StoreError, StoreLockedError
from mmrag.indexing.manifest import MANIFEST_SUFFIX, Manifest

COLORS = ("red", "green", "blue")


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for color in COLORS:
        Image.new("RGB", (8, 8), color).save(folder / f"{color}.png")
        os.utime(folder / f"{color}.png", (1, 1))
    (folder / "twin.png").write_bytes((folder / "red.png").read_bytes())
    return folder


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def record(place) -> Path:
    return place / f"images{MANIFEST_SUFFIX}"


def names(index: ComposedImageIndex) -> set[str]:
    found = index.as_retriever(similarity_top_k=9).retrieve("red")
    return {hit.node.metadata["file_name"] for hit in found}


def test_a_lost_manifest_is_rebuilt_from_the_collection(folder, place, record, caplog):
    known = {f"{color}.png": {"price": 5, "title": color} for color in COLORS}
    with open_toy_index(place) as index:
        index.add_folder(folder, metadata=known)
    record.unlink()
    with open_toy_index(place) as index:
        report = index.add_folder(folder, metadata=known, sync=True)
        # All that was known of the image is taken for said of each of its files, here the twin.
        assert (counts(report), report.embedded) == ({"changed": 1, "unchanged": 3}, 0)
        assert counts(index.add_folder(folder, metadata=known)) == {"unchanged": 4}
    assert not caplog.records


def test_sync_removes_files_deleted_while_the_manifest_was_lost(folder, place, record):
    with open_toy_index(place) as index:
        index.add_folder(folder)
    record.unlink()
    (folder / "red.png").unlink()
    (folder / "blue.png").unlink()
    with open_toy_index(place) as index:
        assert counts(index.add_folder(folder)) == {"unchanged": 2}
        assert counts(index.add_folder(folder, sync=True)) == {"deleted": 2, "unchanged": 2}
        assert names(index) == {"green.png", "twin.png"}


def test_metadata_of_a_lost_manifest_stay_until_they_are_indexed_again(folder, place, record):
    (folder.parent / "red only").mkdir()
    with open_toy_index(place) as index:
        index.add_folder(folder, metadata=lambda _: {"price": 5})
    record.unlink()
    with open_toy_index(place) as index:
        index.add_folder(folder.parent / "red only", sync=True)
        found = index.as_retriever(similarity_top_k=9).retrieve("red")
        assert [hit.node.metadata["price"] for hit in found] == [5, 5, 5]


def test_a_damaged_manifest_is_an_error_whose_remedy_works(folder, place, record):
    with open_toy_index(place) as index:
        index.add_folder(folder)
    record.write_bytes(b"damaged" * 1000)
    with open_toy_index(place) as index, pytest.raises(StoreError, match="delete it, and index"):
        index.add_folder(folder)
    record.unlink()
    with open_toy_index(place) as index:
        report = index.add_folder(folder)
        assert (counts(report), report.embedded) == ({"unchanged": 4}, 0)


def test_nodes_that_are_not_indexed_images_are_kept(folder, place, record):
    from llama_index.core.schema import ImageNode

    with open_toy_index(place) as index:
        index.add([ImageNode(id_="mine", image_path=str(folder / "red.png"))])
        index.add_folder(folder, sync=True)
        assert index.vector_store.count() == 4
        index.add_folder(folder, sync=True)
        assert index.vector_store.count() == 4


@pytest.mark.parametrize("moment", ["delete_nodes", "mark_committed"])
def test_an_interrupted_deletion_is_completed(folder, place, moment, monkeypatch):
    with open_toy_index(place) as index:
        index.add_folder(folder)
        red = index.as_retriever(similarity_top_k=1).retrieve("red")[0].node_id
        with monkeypatch.context() as cut:
            owner = ComposedImageIndex if moment == "delete_nodes" else Manifest
            cut.setattr(owner, moment, _cut_off)
            with pytest.raises(KeyboardInterrupt):
                index.delete(red)
        for name in ("red.png", "twin.png"):
            (folder / name).unlink()
        index.add_folder(folder)
        assert index.vector_store.count() == 2


def _cut_off(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_second_run_over_one_collection_is_a_locked_error(folder, place):
    with open_toy_index(place) as index:

        def meanwhile(done: int, total: int) -> None:
            with pytest.raises(StoreLockedError, match="another process: wait"):
                index.add_folder(folder)

        assert counts(index.add_folder(folder, on_progress=meanwhile))["new"] == 3
        assert counts(index.add_folder(folder)) == {"unchanged": 4}
