"""Means, intervals and percentiles: of known numbers, and whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.evaluation.scoring import interval, percentiles, scores

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(values=SHARES)
def test_an_interval_lies_within_the_values_and_is_always_the_same(values):
    column = np.array(values)[:, None]
    ((mean, low, high),) = interval([column])
    assert mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert interval([column]) == [(mean, low, high)]


@given(groups=st.lists(SHARES, min_size=1, max_size=4))
def test_groups_weigh_alike_whatever_their_size(groups):
    ((mean, _, _),) = interval([np.array(group)[:, None] for group in groups])
    assert mean == pytest.approx(np.mean([np.mean(group) for group in groups]))


def test_an_interval_of_many_coins_is_that_of_the_binomial():
    coins = np.array([[0.0], [1.0]] * 200)
    ((mean, low, high),) = interval([coins])
    wanted = 1.96 * 0.5 / 20  # 400 fair coins: the error of their mean is 1/40
    assert mean == 0.5
    assert (mean - low, high - mean) == pytest.approx((wanted, wanted), rel=0.15)


def test_columns_are_drawn_together():
    paired = np.random.default_rng(1).random((40, 1))
    told = interval([np.hstack([paired, paired + 1])])
    assert [end + 1 for end in told[0]] == pytest.approx(list(told[1]))


def test_scores_stand_by_kind_way_and_measure():
    queries = [
        ("mug", {"both": {"MRR": 1.0}, "gain": {"MRR": 0.2}}),
        ("mug", {"both": {"MRR": 0.0}, "gain": {"MRR": 0.0}}),
        ("lamp", {"both": {"MRR": 1.0}, "gain": {"MRR": -0.2}}),
    ]
    told = {(s.kind, s.way): (s.queries, s.value) for s in scores(queries)}
    assert told["all", "both"] == (3, pytest.approx(2 / 3))
    assert told["mean of kinds", "both"] == (3, 0.75)
    assert told["mug", "gain"] == (2, 0.1)
    assert told["lamp", "gain"] == (1, -0.2)


def test_one_kind_has_no_mean_of_kinds():
    assert {s.kind for s in scores([("mug", {"both": {"MRR": 1.0}})])} == {"all", "mug"}


def test_percentiles_are_of_those_that_went_through_a_stage():
    times = [{"encode": float(ms)} for ms in range(101)] + [{"encode": 50.0, "rank": 7.0}]
    told = percentiles(times)
    assert told["encode"] == pytest.approx({"p50": 50, "p90": 90, "p99": 99}, abs=1)
    assert told["rank"] == {"p50": 7, "p90": 7, "p99": 7}
