"""Indexing killed with -9 at random moments and started again ends like an uninterrupted run."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from indexing_worker import open_toy_index, start_indexing
from llama_index.indices.composed_image.indexing import open_manifest
from PIL import Image
from run_profile import scaled

IMAGES, FEW, KILLS = scaled(fast=1_500, full=5_000), 300, scaled(fast=6, full=20)


@dataclass(frozen=True)
class Snapshot:
    """All that a collection and its manifest hold: vector and node by id; files and images."""

    rows: dict[str, tuple[list[float], str]]
    files: dict[str, str]
    pending: list[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Different images of a few hundred bytes, every tenth one under two names."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(IMAGES):
        Image.new("RGB", (6, 6), (i % 251, i // 251, 7)).save(folder / f"{i:05}.png")
        if i % 10 == 0:
            (folder / f"{i:05} twin.png").write_bytes((folder / f"{i:05}.png").read_bytes())
    return folder


def test_killed_at_random_moments_the_next_run_completes_the_index(folder, tmp_path):
    opening, working = whole_run(tmp_path / "whole.db", folder)
    wanted = snapshot(tmp_path / "whole.db", folder)
    assert (len(wanted.rows), len(wanted.files)) == (IMAGES, IMAGES + IMAGES // 10)
    assert wanted.pending == []

    chance = random.Random(0)
    cut = [tmp_path / "cut-0.db"]
    killed = 0
    while killed < KILLS:
        process, progress = start_indexing(cut[-1], folder)
        time.sleep(chance.uniform(0, opening + working / KILLS))
        process.kill()
        process.join()
        progress.close()
        if process.exitcode == -signal.SIGKILL:
            killed += 1
        else:  # the machine became faster: this run ended, the next begins anew
            cut.append(tmp_path / f"cut-{len(cut)}.db")
    whole_run(cut[-1], folder)
    for db in cut:
        assert snapshot(db, folder) == wanted


def test_killed_between_sources_the_next_run_ends_like_an_uninterrupted_one(tmp_path):
    folder, sources = tmp_path / "photos", shop(tmp_path)
    whole_run(tmp_path / "whole.db", *sources)
    shutil.copytree(tmp_path / "whole.db", tmp_path / "cut.db")
    for i in range(0, FEW, 3):
        (folder / f"{i:05}.png").unlink()
    for i in range(1, FEW, 3):
        (folder / f"{i:05}.png").rename(folder / f"{i:05} moved.png")
    for table in sources[2:]:
        write_table(table, range(50, FEW), price=500)
    opening, working = whole_run(tmp_path / "whole.db", *sources)

    chance = random.Random(1)
    endings = []
    for _ in range(max(5, KILLS // 2)):
        process, progress = start_indexing(tmp_path / "cut.db", *sources)
        time.sleep(chance.uniform(0, opening + working / 5))
        process.kill()
        process.join()
        progress.close()
        endings.append(process.exitcode)
    assert endings.count(-signal.SIGKILL) > 1
    whole_run(tmp_path / "cut.db", *sources)
    assert snapshot(tmp_path / "cut.db", tmp_path) == snapshot(tmp_path / "whole.db", tmp_path)
    assert snapshot(tmp_path / "cut.db", tmp_path).pending == []


def shop(home: Path) -> list[Path]:
    """Photos, a pattern that leads elsewhere, and two tables that name both."""
    for name in ("photos", "more"):
        (home / name).mkdir()
        for i in range(FEW):
            color = (i % 251, i // 251, len(name))
            Image.new("RGB", (6, 6), color).save(home / name / f"{i:05}.png")
    tables = [home / "a.csv", home / "b.csv"]
    for table in tables:
        write_table(table, range(FEW - 50), price=0)
    return [home / "photos", home / "more" / "*.png", *tables]


def write_table(file: Path, numbers: range, price: int) -> None:
    rows = (f"{folder}/{i:05}.png,{i + price}\n" for i in numbers for folder in ("photos", "more"))
    file.write_text(f"image,price {file.stem}\n" + "".join(rows))


def whole_run(db: Path, *sources: Path) -> tuple[float, float]:
    """Index to the end; the seconds until the collection was open, and after."""
    start = time.monotonic()
    process, progress = start_indexing(db, *sources)
    assert progress.recv() == "open"
    opened = time.monotonic()
    assert progress.recv() == "done"
    process.join()
    return opened - start, time.monotonic() - opened


def snapshot(db: Path, folder: Path) -> Snapshot:
    with open_toy_index(db) as index:
        store = index.vector_store
        iterator = store.client.query_iterator(
            store.collection_name, batch_size=500, output_fields=["embedding", "_node_content"]
        )
        rows = {}
        while page := iterator.next():
            for row in page:
                rows[row["id"]] = (np.round(row["embedding"], 5).tolist(), row["_node_content"])
        iterator.close()
        with open_manifest(store, index._embed_model) as manifest:
            files = {file.path: file.image_id for file in manifest.files_under(str(folder))}
            return Snapshot(rows, files, manifest.pending())
