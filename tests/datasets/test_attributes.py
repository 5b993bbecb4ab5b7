"""Twelve products, twelve patterns, eleven colors; twenty pairs kept for measuring composition."""

from __future__ import annotations

import pytest

from mmrag.datasets import COLORS, HELD_OUT, PATTERNS, PRODUCTS, colors_of
from mmrag.datasets.palette import RGB
from mmrag.datasets.products import DRAWERS


def test_names_are_complete_and_unique():
    assert (len(set(PRODUCTS)), len(set(PATTERNS)), len(set(COLORS))) == (12, 12, 11)
    assert set(DRAWERS) == set(PRODUCTS)
    assert set(RGB) == set(COLORS)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_comes_in_four_colors_or_more(pattern):
    assert len(set(colors_of(pattern))) == len(colors_of(pattern)) >= 4
    assert set(colors_of(pattern)) <= set(COLORS)


def test_twenty_pairs_are_held_out_and_touch_every_product_and_pattern():
    assert len(HELD_OUT) == 20
    assert {product for product, _ in HELD_OUT} == set(PRODUCTS)
    assert {pattern for _, pattern in HELD_OUT} == set(PATTERNS)


def test_the_example_of_every_page_is_not_held_out():
    assert ("phone case", "leopard") not in HELD_OUT
