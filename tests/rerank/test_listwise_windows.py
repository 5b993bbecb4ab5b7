"""Sliding windows cover a list from the end; Borda count merges the passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import SettingError
from mmrag.rerank.listwise import borda_count, permute_cells, windows


@st.composite
def cuts(draw):
    window = draw(st.integers(1, 25))
    return draw(st.integers(0, 120)), window, draw(st.integers(1, window))


@given(cut=cuts())
def test_windows_cover_every_position_and_none_is_too_large(cut):
    n, window, stride = cut
    spans = windows(n, window, stride)
    assert {position for start, end in spans for position in range(start, end)} == set(range(n))
    assert all(0 < end - start <= window for start, end in spans)


@given(cut=cuts())
def test_windows_move_from_the_back_to_the_front(cut):
    spans = windows(*cut)
    assert spans == sorted(spans, reverse=True)
    assert not spans or (spans[0][1], spans[-1][0]) == (cut[0], 0)


@given(cut=cuts())
def test_the_best_of_all_reaches_the_front_in_one_run(cut):
    n, window, stride = cut
    if not n or stride == window:
        return  # windows that do not overlap carry nothing along
    order = list(range(n))
    for start, end in windows(n, window, stride):
        order[start:end] = sorted(order[start:end], reverse=True)
    assert order[0] == n - 1


@pytest.mark.parametrize("stride", [0, -1, 10])
def test_a_stride_that_leaves_gaps_is_refused(stride):
    with pytest.raises(SettingError, match=f"stride of {stride} with windows of 9"):
        windows(20, 9, stride)


@given(data=st.data(), n=st.integers(1, 25), passes=st.integers(1, 4))
def test_borda_count_keeps_every_label(data, n, passes):
    labels = data.draw(st.permutations(range(n)))
    orders = [data.draw(st.permutations(labels)) for _ in range(passes)]
    assert sorted(borda_count(labels, orders)) == list(range(n))


@given(order=st.permutations(range(9)))
def test_borda_count_of_equal_orders_is_that_order(order):
    assert borda_count(range(9), [order, order]) == order


@given(order=st.permutations(range(9)))
def test_borda_count_of_opposite_orders_changes_nothing(order):
    assert borda_count(range(9), [order, order[::-1]]) == list(range(9))


@given(n=st.integers(1, 25), pass_index=st.integers(0, 5))
def test_permute_cells_is_a_fixed_permutation_per_pass(n, pass_index):
    cells = permute_cells(range(n), pass_index)
    assert sorted(cells) == list(range(n))
    assert cells == permute_cells(range(n), pass_index)
    assert [permute_cells([1, 2, 3], index) for index in (0, 1)] == [[1, 2, 3], [3, 2, 1]]
