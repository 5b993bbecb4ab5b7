"""hit@k, nDCG and their bootstrap intervals: known values, and invariants for any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import made_image, made_results

from mmrag.evaluation.metrics import average, mean_interval, percentiles, summarize
from mmrag.ranking import Ranking
from mmrag.results import RankedImages

IMAGES = tuple(made_image(name, item=name) for name in "abc")


def found(order: list[int] | None = None) -> RankedImages:
    return made_results(IMAGES, ranking=Ranking(order=order) if order else None)


def measured(*judged) -> dict[str, tuple[float, float | None]]:
    return {f.name: (f.before, f.after) for f in summarize(judged, depth=3, item="item")}


def test_an_answer_that_is_reranked_to_the_front_is_a_hit_at_1():
    values = measured((found([3, 1, 2]), {"c": 2}))
    assert values["hit@1"] == (0, 1)
    assert values["hit@3"] == (1, 1)
    assert values["nDCG@3"] == (pytest.approx(0.5), pytest.approx(1))


def test_a_partial_answer_counts_for_ndcg_and_is_no_hit():
    values = measured((found(), {"a": 1}))
    assert values["hit@1"] == values["hit@3"] == (0, None)
    assert values["nDCG@3"] == (pytest.approx(1), None)


def test_equal_scores_keep_their_ranks_and_queries_are_averaged():
    values = measured((found(), {"a": 2}), (found(), {"c": 2}))
    assert values["hit@1"] == (0.5, None)
    assert values["hit@3"] == (1, None)


def test_a_query_without_an_answer_among_the_hits_counts_as_a_miss():
    values = measured((found(), {"z": 2}), (found(), {"a": 2}))
    assert values["hit@3"] == (0.5, None)


SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(values=SHARES)
def test_an_interval_lies_within_the_values_and_is_deterministic(values):
    column = np.array(values)[:, None]
    ((mean, low, high),) = mean_interval([column])
    assert mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert mean_interval([column]) == [(mean, low, high)]


@given(groups=st.lists(SHARES, min_size=1, max_size=4))
def test_groups_have_equal_weight_whatever_their_size(groups):
    ((mean, _, _),) = mean_interval([np.array(group)[:, None] for group in groups])
    assert mean == pytest.approx(np.mean([np.mean(group) for group in groups]))


def test_an_interval_of_many_coin_flips_is_that_of_the_binomial():
    coins = np.array([[0.0], [1.0]] * 200)
    ((mean, low, high),) = mean_interval([coins])
    expected = 1.96 * 0.5 / 20  # 400 fair coins: the error of their mean is 1/40
    assert mean == 0.5
    assert (mean - low, high - mean) == pytest.approx((expected, expected), rel=0.15)


def test_columns_are_resampled_together():
    paired = np.random.default_rng(1).random((40, 1))
    values = mean_interval([np.hstack([paired, paired + 1])])
    assert [end + 1 for end in values[0]] == pytest.approx(list(values[1]))


def test_scores_by_kind_mode_and_metric():
    queries = [
        ("mug", {"composed": {"MRR": 1.0}, "gain": {"MRR": 0.2}}),
        ("mug", {"composed": {"MRR": 0.0}, "gain": {"MRR": 0.0}}),
        ("lamp", {"composed": {"MRR": 1.0}, "gain": {"MRR": -0.2}}),
    ]
    values = {(s.kind, s.mode): (s.queries, s.value) for s in average(queries)}
    assert values["all", "composed"] == (3, pytest.approx(2 / 3))
    assert values["mean of kinds", "composed"] == (3, 0.75)
    assert values["mug", "gain"] == (2, 0.1)
    assert values["lamp", "gain"] == (1, -0.2)


def test_one_kind_has_no_mean_of_kinds():
    assert {s.kind for s in average([("mug", {"composed": {"MRR": 1.0}})])} == {"all", "mug"}


def test_percentiles_count_only_queries_that_went_through_a_stage():
    times = [{"encode": float(ms)} for ms in range(101)] + [{"encode": 50.0, "rank": 7.0}]
    values = percentiles(times)
    assert values["encode"] == pytest.approx({"p50": 50, "p90": 90, "p99": 99}, abs=1)
    assert values["rank"] == {"p50": 7, "p90": 7, "p99": 7}
