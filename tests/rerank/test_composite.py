"""The composite image shows every candidate whole, labeled and deterministic."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat
from run_profile import scaled

from mmrag.rerank.composite import compose, draw_candidate, draw_label, draw_query, draw_text, fit, layout_grid

GOLDEN = Path(__file__).parents[1] / "golden" / "rerank"
RED, GREEN, BLUE = (220, 20, 20), (20, 180, 20), (20, 20, 220)


def plain(color: tuple[int, ...], size: tuple[int, int] = (60, 60), mode="RGB") -> Image.Image:
    return Image.new(mode, size, color)


@settings(max_examples=scaled(fast=8, full=60))
@given(
    n=st.integers(1, 25),
    cell=st.integers(32, 120),
    columns=st.integers(1, 6),
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_every_candidate_is_drawn_in_its_own_frame(n, cell, columns, size):
    image = compose(plain(BLUE), [plain(RED, size)] * n, cell=cell, columns=columns)
    layout = layout_grid(n, cell=cell, columns=columns)
    assert image.size == layout.size and image.mode == "RGB"
    for slot in layout.cells[1:]:
        _, _, right, bottom = fit(size, slot.frame)
        seen = image.getpixel((right - 1, bottom - 1))
        covered = right <= slot.badge[2] and bottom <= slot.badge[3]
        assert covered or seen == RED


@pytest.mark.parametrize("label", [1, 9, 10, 25])
@pytest.mark.parametrize("cell", [32, 96, 336])
def test_a_badge_changes_no_pixel_outside_its_box(label, cell):
    slot = layout_grid(label, cell=cell, columns=1).cells[label]
    local = tuple(edge - slot.box[side % 2] for side, edge in enumerate(slot.badge))
    drawn = draw_label(draw_candidate(plain(RED), cell), label)
    bare = plain((244, 244, 244), (cell, cell))
    bare.paste(RED, fit((60, 60), tuple(e - slot.box[i % 2] for i, e in enumerate(slot.frame))))
    changed = ImageChops.difference(drawn, bare).getbbox()
    assert changed is not None
    assert changed[0] >= local[0] and changed[1] >= local[1]
    assert changed[2] <= local[2] and changed[3] <= local[3]


def test_each_label_has_different_pixels():
    cells = [draw_label(draw_candidate(plain(RED), 96), label).tobytes() for label in range(1, 26)]
    assert len(set(cells)) == 25


def test_cells_drawn_one_by_one_have_the_pixels_of_the_composite():
    candidates = [plain(RED), plain(GREEN), None]
    whole = compose(plain(BLUE), candidates, cell=96, columns=5)
    parts = [draw_query(plain(BLUE), 96)]
    parts += [draw_label(draw_candidate(image, 96), label) for label, image in enumerate(candidates, 1)]
    for slot, part in enumerate(parts):
        assert whole.crop((slot * 96, 0, slot * 96 + 96, 96)).tobytes() == part.tobytes()


def test_composites_are_deterministic():
    first, second = (compose(None, [plain(RED)] * 3, query_text="a bag") for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_golden_composite_of_the_demo_reranker():
    # Drawn by the first version; the demo weights know no other plates, frames and margins.
    trained_on = Image.open(GOLDEN / "demo_composite.png")
    image = compose(plain(BLUE), [plain(RED)] * 8 + [None], cell=96, columns=5)
    # Another build of FreeType may round an edge of a figure differently, nothing else.
    assert max(ImageStat.Stat(ImageChops.difference(image, trained_on)).mean) < 0.05


def test_transparent_images_are_composed_over_white():
    cell = draw_candidate(plain((0, 0, 0, 0), mode="RGBA"), 96)
    assert cell.getpixel((60, 60)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (plain((128,), mode="L"), (128, 128, 128)),
        (plain((128, 0), mode="LA"), (255, 255, 255)),
        (Image.new("1", (9, 9), 1), (255, 255, 255)),
        (Image.new("I;16", (9, 9), 128 * 256), (128, 128, 128)),
        (plain((0, 0, 0, 0), mode="CMYK"), (255, 255, 255)),
        (plain(RED).quantize(), RED),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_images_of_any_mode_are_converted_to_rgb(image, seen):
    pixel = draw_candidate(image, 96).getpixel((60, 60))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, seen, strict=True)) <= 2


def test_the_cell_of_a_missing_image_says_so():
    assert draw_candidate(None, 96).tobytes() != draw_candidate(plain((244,) * 3), 96).tobytes()


def test_a_query_without_image_shows_its_text_inside_the_frame():
    one, other = (draw_query(None, 336, query_text=text) for text in ("a red bag", "W" * 900))
    assert one.tobytes() != other.tobytes()
    for cell in (one, other):
        assert {cell.getpixel((at, at)) for at in (0, 335)} == {(0, 98, 255)}
        assert set(cell.crop((7, 300, 329, 329)).getcolors() or []) == {(322 * 29, (244, 244, 244))}


def test_a_query_without_image_and_text_says_text_only():
    assert draw_query(None, 336).tobytes() == draw_query(None, 336, query_text="text only").tobytes()


def test_min_cells_keeps_the_grid_of_longer_lists():
    assert compose(None, [plain(RED)] * 2, min_cells=9).size == (1344, 1008)


def test_text_is_drawn_as_an_image():
    one, other = draw_text("a red bag"), draw_text("a blue mug")
    assert one.size == (336, 336)
    assert one.tobytes() != other.tobytes()
