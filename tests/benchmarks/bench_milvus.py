"""Benchmark of Milvus Lite against a Milvus server.

python tests/benchmarks/bench_milvus.py [ROWS] [DIM]
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.indices.composed_image import ImageVectorStore, metadata_filters, milvus_store

from tests.server.milvus_server import milvus_server

QUERIES, TOP = 200, 9
FILTER = metadata_filters("price < 10")  # a tenth of the rows, by a typed column


@dataclass(frozen=True)
class Figures:
    """What one kind of Milvus did."""

    added: float  # rows a second
    ready: float  # seconds from the last row to a built index and a first answer
    p50: float  # milliseconds a query
    p95: float
    filtered: float  # p50 with a filter
    recall: float  # of the exact nine

    def __str__(self) -> str:
        return (
            f"{self.added:8.0f} {self.ready:8.1f} {self.p50:8.1f} {self.p95:8.1f} "
            f"{self.filtered:12.1f} {self.recall:9.3f}"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition(". ")[0])
    parser.add_argument("rows", type=int, nargs="?", default=10_000)
    parser.add_argument("dim", type=int, nargs="?", default=768)
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    vectors = _clustered(arguments.rows + QUERIES, arguments.dim)
    _print(f"{arguments.rows} rows of {arguments.dim}, {QUERIES} queries for the nearest {TOP}, cosine")
    _print(f"{'':12}    add/s  ready s   p50 ms   p95 ms  filtered p50  recall@9")
    figures = {}
    for name, opened in KINDS.items():
        with tempfile.TemporaryDirectory() as folder, opened(Path(folder), arguments.dim) as store:
            figures[name] = _measure(store, vectors[:-QUERIES], vectors[-QUERIES:])
        _print(f"{name:12} {figures[name]}")
    flat, server = figures["Lite FLAT"], figures["server HNSW"]
    _print(
        f"server HNSW against Lite FLAT: adds {server.added / flat.added:.1f}x as fast, "
        f"answers {flat.p50 / server.p50:.1f}x as fast"
    )


@contextmanager
def _lite(kind: str, folder: Path, dim: int) -> Iterator[ImageVectorStore]:
    store = milvus_store(folder / "bench.db", "bench", dim, model="toy", scalar_fields=COLUMNS, index_type=kind)
    yield store
    store.close()


@contextmanager
def _server(folder: Path, dim: int) -> Iterator[ImageVectorStore]:
    with milvus_server(folder) as server:
        yield milvus_store(server.uri, "bench", dim, model="toy", scalar_fields=COLUMNS)


COLUMNS = {"price": float}
KINDS: dict[str, Callable] = {
    "Lite FLAT": lambda folder, dim: _lite("FLAT", folder, dim),
    "Lite HNSW": lambda folder, dim: _lite("HNSW", folder, dim),
    "server HNSW": _server,
}


def _measure(store: ImageVectorStore, vectors: np.ndarray, queries: np.ndarray) -> Figures:
    nodes = [
        ImageNode(
            id_=f"{i:064x}",
            image_path=f"/shop/{i}.jpg",
            text=f"image {i}",
            embedding=vector.tolist(),
            metadata={"price": float(i % 100)},
        )
        for i, vector in enumerate(vectors)
    ]
    start = time.perf_counter()
    for first in range(0, len(nodes), 1000):
        store.add(nodes[first : first + 1000])
    added = time.perf_counter()
    store.client.flush(store.collection_name)
    while store.client.describe_index(store.collection_name, "embedding")["state"] != "Finished":
        time.sleep(0.1)
    _timed_query(store, queries[0])
    ready = time.perf_counter()
    for query in queries[:50]:
        _timed_query(store, query)
    timed = [_timed_query(store, query) for query in queries]  # [(ids, ms), ...]
    filtered = [_timed_query(store, query, filters=FILTER)[1] for query in queries[:50]]
    p50, p95 = np.percentile([ms for _, ms in timed], [50, 95])
    return Figures(
        added=len(nodes) / (added - start),
        ready=ready - added,
        p50=p50,
        p95=p95,
        filtered=float(np.median(filtered)),
        recall=_recall([ids for ids, _ in timed], vectors, queries),
    )


def _timed_query(store: ImageVectorStore, query: np.ndarray, **options) -> tuple[list[str], float]:
    vector_query = VectorStoreQuery(query.tolist(), similarity_top_k=TOP, **options)
    start = time.perf_counter()
    ids = store.query(vector_query).ids
    return list(ids or []), (time.perf_counter() - start) * 1000


def _recall(found: list[list[str]], vectors: np.ndarray, queries: np.ndarray) -> float:
    nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :TOP]  # (queries, top)
    hits = [len({int(row, 16) for row in ids} & set(exact)) for ids, exact in zip(found, nearest.tolist(), strict=True)]
    return sum(hits) / nearest.size


def _clustered(n: int, dim: int) -> np.ndarray:
    # Images come in kinds: 300 centers, and every row about as far from its own as kinds overlap.
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(300, dim))
    vectors = centers[rng.integers(300, size=n)] + rng.normal(size=(n, dim))  # (n, dim)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
