"""Indexing in a process of its own, to be killed. In: a collection's place and a folder."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex

from mmrag.indexing import run
from mmrag.testing import toy_encoder

_processes = multiprocessing.get_context("forkserver")
# Imported once, by the process that the others are forked from: each then starts at once.
_processes.set_forkserver_preload(
    ["llama_index.embeddings.visualized_bge", "llama_index.indices.composed_image", "mmrag.testing"]
)


def start_indexing(place: Path, folder: Path) -> tuple[BaseProcess, Connection]:
    """Start; the connection tells "open", and "done" when the run was not killed."""
    here, there = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_index, args=(place, folder, there), daemon=True)
    process.start()
    there.close()
    return process, here


def open_toy_index(place: Path) -> ComposedImageIndex:
    return ComposedImageIndex.open(place, VisualizedBGEEmbedding(encoder=toy_encoder()))


def _index(place: Path, folder: Path, progress: Connection) -> None:
    run.BATCH = 64  # more moments between batches to be killed at
    with open_toy_index(place) as index:
        progress.send("open")
        index.add_folder(folder, sync=True)
    progress.send("done")
