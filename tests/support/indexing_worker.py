"""Indexing in a process of its own, to be killed in the middle."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex

from mmrag.indexing import pipeline
from mmrag.indexing.sources import read_sources
from mmrag.testing import toy_encoder

_processes = multiprocessing.get_context("forkserver")
# Imported once, by the process that the others are forked from: each then starts at once.
_processes.set_forkserver_preload(
    [
        "llama_index.embeddings.visualized_bge",
        "llama_index.indices.composed_image",
        "mmrag.indexing.sources",
        "mmrag.testing",
    ]
)


def start_indexing(place: Path, *sources: Path) -> tuple[BaseProcess, Connection]:
    """Start the process; the connection receives "open", and "done" unless it was killed."""
    here, there = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_index, args=(place, sources, there), daemon=True)
    process.start()
    there.close()
    return process, here


def open_toy_index(place: Path) -> ComposedImageIndex:
    return ComposedImageIndex.open(place, VisualizedBGEEmbedding(encoder=toy_encoder()))


def _index(place: Path, sources: tuple[Path, ...], progress: Connection) -> None:
    pipeline.BATCH = 64  # more moments between batches to be killed at
    with open_toy_index(place) as index:
        progress.send("open")
        read = read_sources([str(source) for source in sources])
        for folder in read.folders:
            index.add_folder(folder, sync=True)
        for listing in (*read.patterns, *read.tables):
            index.add_listing(listing, sync=True)
    progress.send("done")
