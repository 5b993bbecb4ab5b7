"""A gallery and queries from seeds that no training saw, and the rankings of encoders and controls on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.train_demo_models.training_images import HELD_OUT_PAIRS
from mmrag.datasets import DrawnQuery, Item, QueryType, queries, write_catalog, write_queries
from mmrag.embedding import VisualizedBGE
from mmrag.evaluation.metrics import compute_metrics
from mmrag.query import Query

__all__ = ["TOP", "Benchmark", "Rankings", "color_rankings", "encoder_rankings", "make_benchmark"]

TOP = 9
_EXACT = 2

Rankings = Mapping[str, Sequence[str]]
"""Ids of items by id of query, best first; a query without a ranking scores 0."""


@dataclass(frozen=True)
class Benchmark:
    """Files in the form that ``mmrag index FOLDER/catalog`` and ``mmrag eval FOLDER/queries`` read."""

    folder: Path
    items: Sequence[Item]
    queries: Sequence[DrawnQuery]

    @property
    def gallery(self) -> list[Path]:
        """Images of the items."""
        return [self.folder / "catalog" / item.file for item in self.items]

    def image(self, query: DrawnQuery) -> Path | None:
        """Return the image of a query."""
        return self.folder / "queries" / f"{query.id}.jpg" if query.image_spec else None

    def subset(self, numbers: Sequence[int]) -> Benchmark:
        """Keep some of the queries."""
        return replace(self, queries=[self.queries[number] for number in numbers])

    def parts(self) -> dict[str, list[str]]:
        """Return the ids of all queries, of those about held-out pairs, and of each type."""
        parts = {"all": [query.id for query in self.queries]}
        parts["held-out pairs"] = [q.id for q in self.queries if (q.target.product, q.target.pattern) in HELD_OUT_PAIRS]
        for query_type in QueryType:
            parts[query_type] = [query.id for query in self.queries if query.query_type is query_type]
        return {part: ids for part, ids in parts.items() if ids}

    def metrics(self, rankings: Rankings) -> dict[str, dict[str, float]]:
        """Compute hit@1, hit@9, nDCG@9 and more of each query, as ``mmrag eval`` does."""
        return compute_metrics(rankings, self._qrels, (1, TOP), relevant=_EXACT, exact=_EXACT)

    @cached_property
    def _qrels(self) -> dict[str, dict[str, int]]:
        graded = {
            query.id: {item.id: query.target.grade(item.product, item.pattern, item.color) for item in self.items}
            for query in self.queries
        }
        return {query: {item: grade for item, grade in grades.items() if grade} for query, grades in graded.items()}


def make_benchmark(folder: Path, *, size: int = 900, queries_per_type: int = 120, seed: int) -> Benchmark:
    """Draw a gallery and queries with an exact answer in it."""
    items = write_catalog(folder / "catalog", n=size, seed=seed)
    drawn = [query for kind in QueryType for query in queries(kind, queries_per_type, seed, catalog=items)]
    write_queries(folder / "queries", drawn, items)
    return Benchmark(folder, items, drawn)


def encoder_rankings(benchmark: Benchmark, encoder: VisualizedBGE, *, halves: bool = False) -> dict[str, Rankings]:
    """Search by an encoder: composed and, if ``halves``, by text only and by image only."""
    gallery = encoder.encode(benchmark.gallery)
    images = {query.id: benchmark.image(query) for query in benchmark.queries}
    modes = {"composed": {query.id: Query(query.text, images[query.id]) for query in benchmark.queries}}
    if halves:
        modes["text only"] = {query.id: Query(query.text) for query in benchmark.queries if query.text}
        modes["image only"] = {id: Query(image=file) for id, file in images.items() if file}
    return {
        mode: _rank(benchmark, list(queries), encoder.encode(list(queries.values())) @ gallery.T)
        for mode, queries in modes.items()
    }


def color_rankings(benchmark: Benchmark) -> Rankings:
    """Search by the color histogram of the query's image."""
    gallery = np.stack([_color_histogram(file) for file in benchmark.gallery])
    files = {query.id: file for query in benchmark.queries if (file := benchmark.image(query))}
    return _rank(benchmark, list(files), np.stack([_color_histogram(file) for file in files.values()]) @ gallery.T)


def _rank(benchmark: Benchmark, ids: Sequence[str], similarities: NDArray[np.floating]) -> Rankings:
    orders = np.argsort(-similarities, axis=1, kind="stable")[:, :TOP]
    return {id: [benchmark.items[place].id for place in order] for id, order in zip(ids, orders, strict=True)}


def _color_histogram(file: Path) -> NDArray[np.float64]:
    with Image.open(file) as image:
        bins = np.asarray(image.convert("RGB").resize((64, 64))).reshape(-1, 3).astype(int) // 43
    counts = np.bincount(bins @ np.array([36, 6, 1]), minlength=216)
    return np.sqrt(counts / counts.sum())
