"""How much a reranker gains on the drawn catalog: encoder and reranker in, a table out.

Lists are the encoder's own top 9 for queries that no training saw; each goes through
`ListwiseReranker` like a user's, composite, prompt and all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.train_demo_models.report_encoder import Exam, gain
from examples.train_demo_models.vocabulary import compound
from mmrag.datasets import Item, QueryType
from mmrag.embedding.visualized_bge.model import VisualizedBGE
from mmrag.query import Query
from mmrag.rerank import ListwiseReranker
from mmrag.vision.base import VisionLLM

__all__ = ["Change", "Reranking", "change_table", "rerank_exam"]

_TOP = 9
_DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class Reranking:
    """What a reranker made of every list of an exam.

    Attributes
    ----------
    before, after
        ``(queries, 9)``: grades 0..3 in retrieval order, and in the reranker's.
    truthful
        ``(queries,)``: whether the reason names the best one's color, pattern and product.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    truthful: NDArray[np.bool_]


@dataclass(frozen=True)
class Change:
    """A mean before and after, and the 95 % bootstrap interval of the difference."""

    before: float
    after: float
    low: float
    high: float

    @classmethod
    def of(cls, before: NDArray[np.float64], after: NDArray[np.float64]) -> Change:
        """Compare two figures of the same queries."""
        difference = after - before
        draws = np.random.default_rng(0).integers(0, len(before), (_DRAWS, len(before)))
        low, high = np.quantile(difference[draws].mean(1), [0.025, 0.975])
        return cls(float(before.mean()), float(after.mean()), float(low), float(high))

    def __str__(self) -> str:
        gained = self.after - self.before
        interval = f"[{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.before:.3f} -> {self.after:.3f}, {gained:+.3f} {interval}"


def rerank_exam(
    exam: Exam,
    encoder: VisualizedBGE,
    vlm: VisionLLM,
    *,
    shown_order: Callable[[NDArray[np.int64], int], NDArray[np.int64]] | None = None,
    moved: int = 0,
) -> Reranking:
    """Rerank the top 9 of every query.

    Parameters
    ----------
    shown_order
        Reorders a list before the reranker sees it, given the list and the query's number.
    moved
        A control: the reranker sees the images moved on by so many places, and its labels are
        read as if it had not. A reranker that looks must collapse.
    """
    reranker = ListwiseReranker(vlm, window=_TOP)
    queries = [Query(query.text, query.image()) for query in exam.queries]
    similar = encoder.encode(queries) @ encoder.encode(exam.gallery).T
    before, after, truthful = [], [], []
    for number, query in enumerate(queries):
        found = np.argsort(-similar[number], kind="stable")[:_TOP]
        listed = found if shown_order is None else shown_order(found, number)
        shown = np.roll(listed, moved)
        ranking = reranker.rerank(query, [exam.gallery[place] for place in shown]).ranking
        ranked = listed[np.array(ranking.order) - 1]
        before.append(exam.grades[number, found])
        after.append(exam.grades[number, ranked])
        truthful.append(_is_true(ranking.reason, exam.items[ranked[0]]))
    return Reranking(np.array(before), np.array(after), np.array(truthful))


def change_table(exam: Exam, reranking: Reranking) -> list[tuple[str, Change, Change]]:
    """Compare top-1 and nDCG@9 (of the list) before and after: for all, and for each kind."""
    kinds = np.array([query.query_type for query in exam.queries])
    parts = {"all": np.ones(len(kinds), bool)} | {str(kind): kinds == kind for kind in QueryType}
    return [
        (
            part,
            Change.of(_top1(reranking.before[chosen]), _top1(reranking.after[chosen])),
            Change.of(_ndcg(reranking.before[chosen]), _ndcg(reranking.after[chosen])),
        )
        for part, chosen in parts.items()
        if chosen.any()
    ]


def _top1(grades: NDArray[np.int64]) -> NDArray[np.float64]:
    return (grades[:, 0] == 3).astype(float)


def _ndcg(grades: NDArray[np.int64]) -> NDArray[np.float64]:
    ideal = gain(-np.sort(-grades, axis=1))
    return np.where(ideal > 0, gain(grades) / np.maximum(ideal, 1e-9), 1.0)


def _is_true(reason: str, item: Item) -> bool:
    words = reason.split()
    return all(compound(name) in words for name in (item.color, item.pattern, item.product))
