"""Wishes to practise on mean what the catalog's own wishes mean."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.train_demo_models.sampling import ANY, Sampler, Wanted, grades
from examples.train_demo_models.specimens import Shown
from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, QueryType, Target

attributes = st.tuples(
    st.integers(0, len(PRODUCTS) - 1), st.integers(0, len(PATTERNS) - 1), st.integers(0, len(COLORS) - 1)
)


@given(wish=attributes, free=st.booleans(), shown=st.lists(attributes, min_size=1, max_size=9))
def test_many_images_are_graded_like_one(wish, free, shown):
    product, pattern, color = wish
    wanted = Wanted(QueryType.TEXT, None, "", product, pattern, ANY if free else color)
    named = Target(PRODUCTS[product], PATTERNS[pattern], None if free else COLORS[color])
    expected = [named.fine_grade(PRODUCTS[p], PATTERNS[q], COLORS[c]) for p, q, c in shown]
    assert grades(wanted, Shown(*np.array(shown).T)).tolist() == expected


@pytest.fixture(scope="module")
def sampler(specimens):
    return Sampler(specimens)


def test_every_wish_can_be_fulfilled_by_another_image(sampler):
    rng = Random(1)
    for _ in range(60):
        wanted = sampler.wanted(rng)
        row = sampler.fulfilling(wanted, rng)
        assert row != wanted.row
        assert grades(wanted, sampler.specimens.shown.part(np.array([row]))).tolist() == [3]


def test_a_hard_negative_fulfils_half_a_wish_at_least(sampler):
    rng = Random(2)
    shown = sampler.specimens.shown
    for _ in range(60):
        wanted = sampler.wanted(rng)
        row = sampler.half_fulfilling(wanted, rng)
        assert shown.product[row] == wanted.product or shown.pattern[row] == wanted.pattern
