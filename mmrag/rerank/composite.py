"""Composite image for a vision LLM: a grid with the framed query first, then the numbered candidates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from mmrag.rerank.layout import QUERY, Box, layout_cell, layout_grid

__all__ = ["compose", "draw_candidate", "draw_label", "draw_query", "draw_text", "fit"]

BACKGROUND = (244, 244, 244)
WHITE = (255, 255, 255)
DARK = (16, 18, 24)
GRAY = (120, 120, 120)
BLUE = (0, 98, 255)
MIN_FONT_SIZE = 10  # pixels; a query's text that would be smaller is left out
SUPERSAMPLING = 4  # badges are drawn this much larger and averaged down, as Pillow's discs are jagged


def compose(
    query_image: Image.Image | None,
    candidates: Sequence[Image.Image | None],
    *,
    cell: int = 336,
    columns: int = 4,
    query_text: str = "",
    min_cells: int = 0,
) -> Image.Image:
    """Draw query and candidates into one RGB image.

    Parameters
    ----------
    query_image : PIL.Image.Image, optional
        Drawn in the framed cell 0. Without it the cell shows ``query_text``.
    candidates : sequence of PIL.Image.Image or None
        1 to 25 images in retrieval order; the cell of ``None`` says "missing".
    cell : int, default 336
        Side of a cell in pixels: the crop side of the model.
    columns : int, default 4
        Cells per row.
    min_cells : int, default 0
        Lay out at least this many candidate cells, so that short lists keep the shape of long ones.

    Examples
    --------
    >>> red = Image.new("RGB", (30, 20), "red")
    >>> compose(red, [red] * 9).size
    (1344, 1008)
    """
    layout = layout_grid(len(candidates), cell=cell, columns=columns, min_cells=min_cells)
    canvas = Image.new("RGB", layout.size, BACKGROUND)
    query, *numbered = layout.cells
    canvas.paste(draw_query(query_image, cell, query_text=query_text), query.box)
    for slot, image in zip(numbered, candidates, strict=True):
        if image is None:
            canvas.paste(draw_candidate(None, cell), slot.box)
        else:
            _paste_fitted(canvas, image, slot.frame)
        badge = _render_badge(slot.text, cell, DARK)
        canvas.paste(badge, slot.badge, badge)
    return canvas


def draw_candidate(image: Image.Image | None, cell: int) -> Image.Image:
    """Draw the cell of a candidate without its label."""
    canvas = Image.new("RGB", (cell, cell), BACKGROUND)
    if image is None:
        _write_lines(canvas, ["missing"], cell // 8)
    else:
        _paste_fitted(canvas, image, layout_cell("1", cell).frame)  # the same for every label
    return canvas


def draw_label(candidate: Image.Image, label: int) -> Image.Image:
    """Draw a label on a copy of a candidate's cell; with `draw_candidate`, the same pixels as in `compose`."""
    canvas = candidate.copy()
    badge = _render_badge(str(label), candidate.width, DARK)
    canvas.paste(badge, layout_cell(str(label), candidate.width).badge, badge)
    return canvas


def draw_query(image: Image.Image | None, cell: int, *, query_text: str = "") -> Image.Image:
    """Draw the framed cell of the query, the same pixels as in `compose`; without an image, its text."""
    slot = layout_cell(QUERY, cell)
    canvas = Image.new("RGB", (cell, cell), BLUE)
    canvas.paste(BACKGROUND, slot.frame)
    font_size = cell // 14
    if image is not None:
        _paste_fitted(canvas, image, slot.frame)
    elif font_size >= MIN_FONT_SIZE:
        _write_lines(canvas, _wrap(query_text or "text only", cell * 7 // 8, font_size), font_size)
    badge = _render_badge(QUERY, cell, BLUE)
    canvas.paste(badge, slot.badge, badge)
    return canvas


def draw_text(text: str, side: int = 336) -> Image.Image:
    """Draw a text as a square image, the candidate image of a node without one."""
    canvas = Image.new("RGB", (side, side), BACKGROUND)
    _write_lines(canvas, _wrap(text, side * 7 // 8, side // 14), side // 14)
    return canvas


def fit(size: tuple[int, int], frame: Box) -> Box:
    """Center an image of ``size`` in ``frame``, as large as possible, with its aspect ratio.

    Examples
    --------
    >>> fit((400, 200), (1, 1, 95, 95))
    (1, 24, 95, 71)
    """
    left, top, right, bottom = frame
    max_width, max_height = right - left, bottom - top
    scale = min(max_width / size[0], max_height / size[1])
    width = min(max_width, max(1, round(size[0] * scale)))
    height = min(max_height, max(1, round(size[1] * scale)))
    x, y = left + (max_width - width) // 2, top + (max_height - height) // 2
    return x, y, x + width, y + height


def _paste_fitted(canvas: Image.Image, image: Image.Image, frame: Box) -> None:
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, WHITE)
        image = Image.alpha_composite(white, image.convert("RGBA"))
    elif image.mode.startswith("I"):  # 16 bits per pixel: Pillow would clip, not scale
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    box = fit(image.size, frame)
    # reducing_gap makes camera-sized photos ten times faster and leaves small ones untouched.
    resized = image.convert("RGB").resize(
        (box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS, reducing_gap=3.0
    )
    canvas.paste(resized, box)


@lru_cache(maxsize=256)
def _render_badge(text: str, cell: int, color: tuple[int, int, int]) -> Image.Image:
    slot = layout_cell(text, cell)
    left, top, right, bottom = slot.badge
    width, height = (right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING
    ring = max(1, (bottom - top) // 16) * SUPERSAMPLING
    badge = Image.new("RGBA", (width, height), (*WHITE, 0))
    draw = ImageDraw.Draw(badge)
    # The white ring keeps a dark badge visible on a dark image.
    draw.rounded_rectangle((0, 0, width - 1, height - 1), height / 2, fill=WHITE)
    inner = (ring, ring, width - 1 - ring, height - 1 - ring)
    draw.rounded_rectangle(inner, height / 2 - ring, fill=color)
    _write_lines(badge, [text], slot.font_size * SUPERSAMPLING, WHITE)
    return badge.reduce(SUPERSAMPLING)


def _write_lines(canvas: Image.Image, lines: list[str], font_size: int, color: tuple[int, int, int] = GRAY) -> None:
    """Write lines in the middle of the canvas, each centered."""
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(font_size)
    line_height = font_size * 4 // 3
    first = canvas.height / 2 - line_height * (len(lines) - 1) / 2
    for index, line in enumerate(lines):
        # Center the ink, not the line box: figures have no descenders and would be too high.
        left, top, right, bottom = font.getbbox(line)
        origin = (canvas.width / 2 - (left + right) / 2, first + index * line_height - (top + bottom) / 2)
        draw.text(origin, line, fill=color, font=font)


def _wrap(text: str, width: int, font_size: int) -> list[str]:
    font = ImageFont.load_default(font_size)
    for characters in range(32, 0, -2):  # wrap ever shorter until the widest line fits
        lines = wrap(" ".join(text.split()), width=characters, max_lines=7, placeholder="…")
        if all(font.getlength(line) <= width for line in lines):
            return lines
    return []
