"""Layout of the composite: each label in its own cell, each image inside its frame, for all sizes."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from mmrag.errors import SettingError
from mmrag.rerank.composite import MAX_CANDIDATES, Box, fit, layout_cell, layout_grid

lists = st.integers(min_value=1, max_value=MAX_CANDIDATES)
sides = st.integers(min_value=32, max_value=700)
columns = st.integers(min_value=1, max_value=9)
image_sides = st.integers(min_value=1, max_value=5000)


def inside(inner: Box, outer: Box) -> bool:
    return outer[0] <= inner[0] < inner[2] <= outer[2] and outer[1] <= inner[1] < inner[3] <= outer[3]


@given(n=lists, side=sides, columns=columns)
def test_each_badge_and_frame_lies_inside_its_own_cell(n, side, columns):
    layout = layout_grid(n, cell=side, columns=columns)
    for cell in layout.cells:
        assert inside(cell.badge, cell.box)
        assert inside(cell.frame, cell.box)
        assert inside(cell.box, (0, 0, *layout.size))


@given(n=lists, side=sides, columns=columns, width=image_sides, height=image_sides)
def test_each_image_lies_inside_its_frame_and_fills_it(n, side, columns, width, height):
    frame = layout_grid(n, cell=side, columns=columns).cells[-1].frame
    box = fit((width, height), frame)
    assert inside(box, frame)
    assert box[2] - box[0] == frame[2] - frame[0] or box[3] - box[1] == frame[3] - frame[1]


@given(side=sides, width=image_sides, height=image_sides)
def test_images_keep_their_aspect_ratio(side, width, height):
    left, top, right, bottom = fit((width, height), (0, 0, side, side))
    exact_width, exact_height = (side * x / max(width, height) for x in (width, height))
    assert abs((right - left) - exact_width) <= 1 and abs((bottom - top) - exact_height) <= 1


@given(n=lists, side=sides, columns=columns)
def test_no_two_cells_overlap(n, side, columns):
    corners = {cell.box[:2] for cell in layout_grid(n, cell=side, columns=columns).cells}
    assert len(corners) == n + 1
    assert all(abs(a[0] - b[0]) >= side or abs(a[1] - b[1]) >= side for a, b in combinations(corners, 2))


@given(n=lists, columns=columns)
def test_labels_run_from_one_in_reading_order(n, columns):
    cells = layout_grid(n, columns=columns).cells
    assert [cell.text for cell in cells] == ["query", *map(str, range(1, n + 1))]
    assert [cell.box[1::-1] for cell in cells] == sorted(cell.box[1::-1] for cell in cells)


@pytest.mark.parametrize(
    ("n", "cell", "columns", "size"), [(9, 336, 4, (1344, 1008)), (15, 336, 4, (1344, 1344)), (9, 96, 5, (480, 192))]
)
def test_cell_borders_coincide_with_the_crop_borders_of_phi3_vision(n, cell, columns, size):
    layout = layout_grid(n, cell=cell, columns=columns)
    assert layout.size == size
    assert all(edge % cell == 0 for slot in layout.cells for edge in slot.box)


def test_the_frame_of_a_small_cell_loses_at_most_four_pixels():
    query, candidate = layout_grid(1, cell=96).cells
    assert query.frame == (2, 2, 94, 94)
    assert candidate.frame == (96 + 1, 1, 96 + 95, 95)


@pytest.mark.parametrize(
    ("n", "cell", "columns", "message"),
    [
        (0, 336, 4, "0 candidates"),
        (26, 336, 4, "26 candidates"),
        (3, 31, 4, "a cell of 31 pixels"),
        (3, 336, 0, "0 columns"),
    ],
)
def test_invalid_layouts_are_refused(n, cell, columns, message):
    with pytest.raises(SettingError, match=message):
        layout_grid(n, cell=cell, columns=columns)


@given(label=st.integers(1, MAX_CANDIDATES), side=sides)
def test_a_badge_is_as_wide_as_its_text(label, side):
    cell = layout_cell(str(label), side)
    width, height = cell.badge[2] - cell.badge[0], cell.badge[3] - cell.badge[1]
    left, _, right, _ = ImageFont.load_default(cell.font_size).getbbox(cell.text)
    assert right - left < width < 2 * height
    assert side / 6 < height + 1 and height < side / 4  # large enough to be read, small enough
    assert label > 9 or width <= height * 6 / 5  # a figure alone sits on a disc, or nearly
