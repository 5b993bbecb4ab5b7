"""Two runs side by side: differences are taken query by query, of the same queries only."""

from __future__ import annotations

import pytest

from mmrag.errors import SettingError
from mmrag.evaluation import Evaluation, Outcome
from mmrag.evaluation.comparison import compare


def outcome(id: str, hit: float, reranked: float | None = None, **facts) -> Outcome:
    values = {"both": {"hit@1": hit}}
    if reranked is not None:
        values["reranked"] = {"hit@1": reranked}
    told = {
        "id": id,
        "kind": "dots",
        "text": "dot",
        "image": None,
        "grades": {"red": 1},
        "rankings": {"both": ["red"]},
        "similarities": [0.5],
        "values": values,
        "milliseconds": {},
    }
    return Outcome(**(told | facts))


def run(*outcomes: Outcome, model: str = "demo", reranker: str | None = None) -> Evaluation:
    return Evaluation(
        data="dots",
        stored=6,
        model=model,
        reranker=reranker,
        depth=4,
        top=4,
        outcomes=list(outcomes),
        images={},
        missing=[],
        unread={},
    )


def test_differences_are_of_the_queries_that_both_answered():
    before = run(outcome("a", 0), outcome("b", 1), outcome("gone", 1), model="old")
    now = run(outcome("b", 1), outcome("a", 1), outcome("new", 0), model="new")
    told = compare(now, before)
    assert (told.queries, told.before, told.now) == (2, "old", "new")
    (change,) = told.changes
    assert (change.way, change.before, change.now, change.difference) == ("both", 0.5, 1, 0.5)
    assert (change.low, change.high) == (0, 1)
    assert not change.certain


def test_what_users_met_is_compared_also_when_only_one_run_reranked():
    before = run(*(outcome(str(n), 0) for n in range(9)))
    now = run(*(outcome(str(n), 0, 1) for n in range(9)), reranker="llm")
    told = {change.way: change for change in compare(now, before).changes}
    assert told["both"].difference == 0
    assert told["both → reranked"].difference == 1
    assert told["both → reranked"].certain
    again = {change.way: change for change in compare(now, now).changes}
    assert set(again) == {"both", "reranked"}
    assert again["reranked"].difference == 0
    assert compare(now, now).now == "demo + llm"


def test_runs_without_a_common_query_are_refused():
    with pytest.raises(SettingError, match="no query"):
        compare(run(outcome("a", 1)), run(outcome("b", 1)))


@pytest.mark.parametrize("other", [{"text": "mug"}, {"grades": {"blue": 1}}])
def test_a_query_that_changed_its_meaning_is_refused(other):
    with pytest.raises(SettingError, match="'a'"):
        compare(run(outcome("a", 1)), run(outcome("a", 1, **other)))
