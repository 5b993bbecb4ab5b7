"""Sampled queries are graded like the catalog's own."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.train_demo_models.sampling import ANY, SampledQuery, Sampler, grades
from examples.train_demo_models.training_images import ImageAttributes
from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, QueryType, Target

attributes = st.tuples(
    st.integers(0, len(PRODUCTS) - 1), st.integers(0, len(PATTERNS) - 1), st.integers(0, len(COLORS) - 1)
)


@given(target=attributes, free=st.booleans(), shown=st.lists(attributes, min_size=1, max_size=9))
def test_the_grades_of_training_refine_those_of_the_catalog(target, free, shown):
    product, pattern, color = target
    query = SampledQuery(QueryType.TEXT, None, "", product, pattern, ANY if free else color)
    named = Target(PRODUCTS[product], PATTERNS[pattern], None if free else COLORS[color])
    fine = grades(query, ImageAttributes(*np.array([target, *shown]).T)).tolist()
    assert fine[0] == 3
    for (p, q, c), grade in zip(shown, fine[1:], strict=True):
        assert {3: 2, 2: 1, 1: 1, 0: 0}[grade] == named.grade(PRODUCTS[p], PATTERNS[q], COLORS[c])
        if grade in (1, 2):
            assert (p == product) == (grade == 2)  # the right product is graded above the right pattern


@pytest.fixture(scope="module")
def sampler(training_images):
    return Sampler(training_images)


def test_every_query_has_an_exact_match_besides_its_own_image(sampler):
    rng = Random(1)
    for _ in range(60):
        query = sampler.sample_query(rng)
        row = sampler.exact_match(query, rng)
        assert row != query.row
        assert grades(query, sampler.training_images.attributes.select(np.array([row]))).tolist() == [3]


def test_a_partial_match_has_the_right_product_or_pattern(sampler):
    rng = Random(2)
    shown = sampler.training_images.attributes
    for _ in range(60):
        query = sampler.sample_query(rng)
        row = sampler.partial_match(query, rng)
        assert shown.product[row] == query.product or shown.pattern[row] == query.pattern
