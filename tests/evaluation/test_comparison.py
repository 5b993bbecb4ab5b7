"""Two runs side by side: differences are taken query by query, of the same queries only."""

from __future__ import annotations

import pytest

from mmrag.errors import SettingError
from mmrag.evaluation import Evaluation, QueryResult
from mmrag.evaluation.comparison import compare


def query_result(id: str, hit: float, reranked: float | None = None, **facts) -> QueryResult:
    values = {"composed": {"hit@1": hit}}
    if reranked is not None:
        values["reranked"] = {"hit@1": reranked}
    defaults = {
        "id": id,
        "kind": "dots",
        "text": "dot",
        "image": None,
        "grades": {"red": 1},
        "rankings": {"composed": ["red"]},
        "similarities": [0.5],
        "metrics": values,
        "timings_ms": {},
    }
    return QueryResult(**(defaults | facts))


def run(*outcomes: QueryResult, model: str = "demo", reranker: str | None = None) -> Evaluation:
    return Evaluation(
        dataset="dots",
        num_images=6,
        model=model,
        reranker=reranker,
        depth=4,
        top=4,
        results=list(outcomes),
        images={},
        missing=[],
        skipped={},
    )


def test_differences_are_of_the_queries_that_both_answered():
    before = run(query_result("a", 0), query_result("b", 1), query_result("gone", 1), model="old")
    now = run(query_result("b", 1), query_result("a", 1), query_result("new", 0), model="new")
    comparison = compare(now, before)
    assert (comparison.queries, comparison.before, comparison.now) == (2, "old", "new")
    (change,) = comparison.changes
    assert (change.mode, change.before, change.now, change.difference) == ("composed", 0.5, 1, 0.5)
    assert (change.low, change.high) == (0, 1)
    assert not change.significant


def test_final_modes_are_compared_also_when_only_one_run_reranked():
    before = run(*(query_result(str(n), 0) for n in range(9)))
    now = run(*(query_result(str(n), 0, 1) for n in range(9)), reranker="llm")
    changes = {change.mode: change for change in compare(now, before).changes}
    assert changes["composed"].difference == 0
    assert changes["composed → reranked"].difference == 1
    assert changes["composed → reranked"].significant
    again = {change.mode: change for change in compare(now, now).changes}
    assert set(again) == {"composed", "reranked"}
    assert again["reranked"].difference == 0
    assert compare(now, now).now == "demo + llm"


def test_runs_without_a_common_query_are_refused():
    with pytest.raises(SettingError, match="no query"):
        compare(run(query_result("a", 1)), run(query_result("b", 1)))


@pytest.mark.parametrize("other", [{"text": "mug"}, {"grades": {"blue": 1}}])
def test_a_query_that_changed_its_meaning_is_refused(other):
    with pytest.raises(SettingError, match="'a'"):
        compare(run(query_result("a", 1)), run(query_result("a", 1, **other)))
