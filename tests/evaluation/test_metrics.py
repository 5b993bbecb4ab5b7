"""Figures tell what reranking did, and a partial answer is no hit."""

from __future__ import annotations

import pytest

from mmrag.evaluation.metrics import figures
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank import Reranked
from mmrag.results import Found, Hit

HITS = tuple(Hit(name, name, 0.5, {"item": name}) for name in "abc")


def found(order: list[int] | None = None) -> Found:
    reranked = None if order is None else Reranked(Ranking(order=order), tuple(order))
    return Found(Query("mug"), HITS, reranked=reranked)


def measured(*judged) -> dict[str, tuple[float, float | None]]:
    return {f.name: (f.before, f.after) for f in figures(judged, depth=3, item="item")}


def test_an_answer_that_moves_to_the_front_is_a_hit_at_one():
    told = measured((found([3, 1, 2]), {"c": 2}))
    assert told["hit@1"] == (0, 1)
    assert told["hit@3"] == (1, 1)
    assert told["nDCG@3"] == (pytest.approx(0.5), pytest.approx(1))


def test_a_partial_answer_counts_for_ndcg_and_is_no_hit():
    told = measured((found(), {"a": 1}))
    assert told["hit@1"] == told["hit@3"] == (0, None)
    assert told["nDCG@3"] == (pytest.approx(1), None)


def test_equal_scores_keep_their_places_and_queries_are_averaged():
    told = measured((found(), {"a": 2}), (found(), {"c": 2}))
    assert told["hit@1"] == (0.5, None)
    assert told["hit@3"] == (1, None)


def test_a_query_without_an_answer_among_the_hits_counts_as_a_miss():
    told = measured((found(), {"z": 2}), (found(), {"a": 2}))
    assert told["hit@3"] == (0.5, None)
