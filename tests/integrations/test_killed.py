"""Indexing killed with -9 at random moments and started again ends like an uninterrupted run.

MMRAG_TEST_KILL_AT="5000 20" runs it at the size of a real shop: pictures, kills.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from PIL import Image

from mmrag.testing import toy_encoder

SIZE, KILLS = map(int, os.environ.get("MMRAG_TEST_KILL_AT", "300 5").split())

WORKER = """
import sys
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from mmrag.indexing import run
from mmrag.testing import toy_encoder

run.BATCH = 16  # more moments between batches to be killed at
with ComposedImageIndex.open(sys.argv[1], VisualizedBGEEmbedding(encoder=toy_encoder())) as index:
    print("open", flush=True)
    index.add_folder(sys.argv[2], sync=True)
    print("done", flush=True)
"""


def write_pictures(folder: Path, n: int) -> None:
    """Different pictures, every tenth one twice."""
    folder.mkdir()
    for i in range(n):
        colour = (i % 251, i // 251, 7)
        Image.new("RGB", (6, 6), colour).save(folder / f"{i:05}.png")
        if i % 10 == 0:
            (folder / f"{i:05} twin.png").write_bytes((folder / f"{i:05}.png").read_bytes())


def rows(place: Path) -> dict[str, tuple]:
    """All that a collection holds: vector and names by id."""
    with ComposedImageIndex.open(place, VisualizedBGEEmbedding(encoder=toy_encoder())) as index:
        store = index.vector_store
        iterator = store.client.query_iterator(
            store.collection_name, batch_size=500, output_fields=["embedding", "_node_content"]
        )
        found = {}
        while page := iterator.next():
            for row in page:
                vector = np.round(row["embedding"], 5).tolist()
                found[row["id"]] = (vector, row["_node_content"])
        iterator.close()
    return found


def index_in_a_process(place: Path, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(place), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_killed_at_random_moments_it_ends_with_exactly_the_right_set(tmp_path):
    write_pictures(tmp_path / "photos", SIZE)
    started = time.monotonic()
    index_in_a_process(tmp_path / "whole.db", tmp_path / "photos").communicate(timeout=3600)
    whole = time.monotonic() - started

    chance = random.Random(0)
    killed = 0
    for _ in range(KILLS):
        process = index_in_a_process(tmp_path / "cut.db", tmp_path / "photos")
        time.sleep(chance.uniform(0, whole / KILLS))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= KILLS // 2
    out, errors = index_in_a_process(tmp_path / "cut.db", tmp_path / "photos").communicate()
    assert out == "done\n", errors

    wanted = rows(tmp_path / "whole.db")
    assert len(wanted) == SIZE
    assert rows(tmp_path / "cut.db") == wanted
