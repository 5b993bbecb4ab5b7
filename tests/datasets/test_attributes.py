"""Names of products, patterns and colors, and the grades of products against a target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, Target, colors_of
from mmrag.datasets.attributes import RGB
from mmrag.datasets.products import DRAWERS

products, patterns, colors = map(st.sampled_from, (PRODUCTS, PATTERNS, COLORS))
items = st.tuples(products, patterns, colors)
targets = st.builds(Target, st.none() | products, st.none() | patterns, st.none() | colors)


def test_names_are_complete_and_unique():
    assert (len(set(PRODUCTS)), len(set(PATTERNS)), len(set(COLORS))) == (12, 12, 11)
    assert set(DRAWERS) == set(PRODUCTS)
    assert set(RGB) == set(COLORS)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_comes_in_four_colors_or_more(pattern):
    assert len(set(colors_of(pattern))) == len(colors_of(pattern)) >= 4
    assert set(colors_of(pattern)) <= set(COLORS)


def missed(target: Target, item: tuple[str, str, str]) -> tuple[int, int]:
    wanted = (target.product, target.pattern, target.color)
    named = [(want, actual) for want, actual in zip(wanted, item, strict=True) if want is not None]
    return sum(want != actual for want, actual in named), len(named)


@given(target=targets, item=items)
def test_the_grade_counts_missed_attributes(target, item):
    misses, named = missed(target, item)
    expected = 2 if misses == 0 else 1 if misses == 1 and named > 1 else 0
    assert target.grade(*item) == expected


@given(item=items, color=colors)
def test_a_free_color_does_not_change_the_grade(item, color):
    product, pattern, _ = item
    for target in (Target("mug", "star"), Target(product, pattern), Target(product)):
        assert target.grade(*item) == target.grade(product, pattern, color)


@given(item=items)
def test_an_item_is_an_exact_match_of_its_own_attributes(item):
    assert Target(*item).grade(*item) == 2
