"""Indexing in a process of its own, to be killed."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex

from mmrag.indexing import open_sources, pipeline
from mmrag.testing import toy_encoder

_processes = multiprocessing.get_context("forkserver")
# Imported once, by the process that the others are forked from: each then starts at once.
_processes.set_forkserver_preload(
    ["llama_index.embeddings.visualized_bge", "llama_index.indices.composed_image", "mmrag.indexing", "mmrag.testing"]
)


def start_indexing(db: Path, *sources: Path) -> tuple[BaseProcess, Connection]:
    """Start; the connection sends "open", and "done" when the run was not killed."""
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_index, args=(db, sources, sender), daemon=True)
    process.start()
    sender.close()
    return process, receiver


def open_toy_index(db: Path) -> ComposedImageIndex:
    return ComposedImageIndex.open(db, VisualizedBGEEmbedding(encoder=toy_encoder()))


def _index(db: Path, sources: tuple[Path, ...], progress: Connection) -> None:
    pipeline.BATCH = 64  # more moments between batches to be killed at
    with open_toy_index(db) as index:
        progress.send("open")
        for source in open_sources([str(source) for source in sources]):
            index.add_folder(source, sync=True)
    progress.send("done")
