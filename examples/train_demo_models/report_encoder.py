"""How good an encoder is on the drawn catalog: an encoder in, a table of figures out.

Gallery and queries are drawn from seeds that no training saw, and go through
`VisualizedBGE.encode` like a user's: the gallery as JPEG files, the queries' images as drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmrag.datasets import HELD_OUT_PAIRS, DrawnQuery, Item, QueryType, queries, write_catalog
from mmrag.embedding.visualized_bge.model import VisualizedBGE
from mmrag.query import Query

__all__ = ["Exam", "Figures", "by_color", "by_encoder", "encoder_table", "gain", "set_exam"]

_TOP = 9
Similarity = Callable[["Exam"], NDArray[np.float64]]


@dataclass(frozen=True)
class Exam:
    """A gallery on disk, queries about it, and the grade 0..3 of every item for every query."""

    folder: Path
    items: Sequence[Item]
    queries: Sequence[DrawnQuery]
    grades: NDArray[np.int64]  # (queries, items)

    @property
    def gallery(self) -> list[Path]:
        """The gallery's files."""
        return [self.folder / item.file for item in self.items]

    def part(self, chosen: NDArray[np.int64]) -> Exam:
        """Keep some of the queries."""
        asked = [self.queries[number] for number in chosen]
        return Exam(self.folder, self.items, asked, self.grades[chosen])


@dataclass(frozen=True)
class Figures:
    """Recall@1, hit@9 and nDCG@9 over some queries, as means."""

    queries: int
    recall_at_1: float
    hit_at_9: float
    ndcg_at_9: float

    @classmethod
    def of(cls, ranked: NDArray[np.int64], grades: NDArray[np.int64]) -> Figures:
        """Measure rankings.

        Parameters
        ----------
        ranked
            ``(queries, items)``: grades in ranked order.
        grades
            The same grades in any order.
        """
        full = ranked[:, :_TOP] == 3
        ideal = gain(-np.sort(-grades, axis=1))
        return cls(
            queries=len(ranked),
            recall_at_1=float(full[:, 0].mean()),
            hit_at_9=float(full.any(1).mean()),
            ndcg_at_9=float((gain(ranked) / ideal).mean()),
        )


def set_exam(folder: Path, *, size: int = 900, queries_of_kind: int = 120, seed: int = 7001) -> Exam:
    """Draw a gallery and queries, each of which has an exact answer in it."""
    items = write_catalog(folder, n=size, seed=seed)
    asked = [query for kind in QueryType for query in queries(kind, queries_of_kind, seed, catalog=items)]
    grades = np.array(
        [[query.target.fine_grade(item.product, item.pattern, item.color) for item in items] for query in asked]
    )
    return Exam(folder, items, asked, grades)


def encoder_table(exam: Exam, ways: Mapping[str, Similarity]) -> list[tuple[str, str, Figures]]:
    """Measure ways to search: one row a way for all queries and for held-out pairs.

    The first way also gets a row for each kind of query.
    """
    kinds = np.array([query.query_type for query in exam.queries])
    held_out = np.array([(q.target.product, q.target.pattern) in HELD_OUT_PAIRS for q in exam.queries])
    rows: list[tuple[str, str, Figures]] = []
    for number, (name, similarity) in enumerate(ways.items()):
        order = np.argsort(-similarity(exam), axis=1, kind="stable")
        ranked = np.take_along_axis(exam.grades, order, axis=1)
        parts = {"all": np.ones(len(kinds), bool), "held-out pairs": held_out}
        if number == 0:
            parts |= {str(kind): kinds == kind for kind in QueryType}
        rows += [(name, part, Figures.of(ranked[chosen], exam.grades[chosen])) for part, chosen in parts.items()]
    return rows


def by_encoder(encoder: VisualizedBGE, *, words: bool = True, image: bool = True) -> Similarity:
    """Search by an encoder, with the whole query or one half of it."""

    def similarity(exam: Exam) -> NDArray[np.float64]:
        gallery = encoder.encode(exam.gallery)
        asked = [_half(query, words=words, image=image) for query in exam.queries]
        known = [number for number, query in enumerate(asked) if query is not None]
        similar = np.zeros((len(asked), len(gallery)))
        vectors = encoder.encode([query for query in asked if query is not None])
        similar[known] = vectors @ gallery.T
        return similar

    return similarity


def by_color(exam: Exam) -> NDArray[np.float64]:
    """Search by color histogram alone, blind to words."""
    gallery = np.stack([_histogram(Image.open(file)) for file in exam.gallery])
    asked = [query.image() for query in exam.queries]
    blank = Image.new("RGB", (8, 8))
    return np.stack([_histogram(image or blank) for image in asked]) @ gallery.T


def _half(query: DrawnQuery, *, words: bool, image: bool) -> Query | None:
    text = query.text if words else ""
    shown = query.image() if image else None
    return Query(text, shown) if text or shown is not None else None


def _histogram(image: Image.Image) -> NDArray[np.float64]:
    bins = np.asarray(image.convert("RGB").resize((64, 64))).reshape(-1, 3).astype(int) // 43
    counts = np.bincount(bins @ np.array([36, 6, 1]), minlength=216)
    return np.sqrt(counts / counts.sum())


def gain(ranked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum the discounted gains of the first 9 grades: (queries, items) -> (queries,)."""
    top = ranked[:, :_TOP]
    return ((2.0**top - 1) / np.log2(np.arange(2, top.shape[1] + 2))).sum(1)
