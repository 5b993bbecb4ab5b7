"""Composite image for a vision LLM: a grid of square cells, the framed query first, then numbered candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from mmrag.errors import SettingError

__all__ = ["MAX_CANDIDATES", "compose", "draw_candidate", "draw_label", "draw_query", "draw_text", "layout_grid"]

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

QUERY = "query"
MAX_CANDIDATES = 25
MIN_CELL = 32  # pixels
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
    if image is not None:
        _paste_fitted(canvas, image, slot.frame)
    elif cell // 14 >= MIN_FONT_SIZE:
        _write_wrapped(canvas, query_text or "text only", cell // 14)
    badge = _render_badge(QUERY, cell, BLUE)
    canvas.paste(badge, slot.badge, badge)
    return canvas


def draw_text(text: str, side: int = 336) -> Image.Image:
    """Draw a text as a square image, the candidate image of a node without one."""
    canvas = Image.new("RGB", (side, side), BACKGROUND)
    _write_wrapped(canvas, text, side // 14)
    return canvas


@dataclass(frozen=True)
class Cell:
    """One square of the grid, with the badge that shows ``"query"`` or a label."""

    text: str
    box: Box
    frame: Box  # the part that an image may fill
    badge: Box
    font_size: int


@dataclass(frozen=True)
class Layout:
    """Size of the grid in pixels, and its cells in reading order: the query, then candidates 1..n."""

    size: tuple[int, int]
    cells: tuple[Cell, ...]


@lru_cache(maxsize=1024)
def layout_cell(text: str, side: int, left: int = 0, top: int = 0) -> Cell:
    """Lay out the cell with the badge ``text`` and its top-left corner at ``(left, top)``."""
    if side < MIN_CELL:
        raise SettingError(f"a cell of {side} pixels is too small to be read: use {MIN_CELL} or more")
    # The word only names its cell, but the model must read a number: numbers are larger.
    if text == QUERY:
        margin, height = max(2, side // 48), side // 8
        font_size = height * 2 // 3
    else:
        margin, height = max(1, side // 96), side * 5 // 24
        font_size = height * 4 // 5
    ink_left, _top, ink_right, _bottom = ImageFont.load_default(font_size).getbbox(text)
    # A single figure fits on a disc; longer texts widen it to a rounded badge.
    width = max(height, round(ink_right - ink_left) + height * 3 // 5)
    x, y = left + max(2, side // 48), top + max(2, side // 48)
    box = (left, top, left + side, top + side)
    frame = (left + margin, top + margin, left + side - margin, top + side - margin)
    return Cell(text, box, frame, (x, y, x + width, y + height), font_size)


@lru_cache(maxsize=256)
def layout_grid(n: int, *, cell: int = 336, columns: int = 4, min_cells: int = 0) -> Layout:
    """Lay out the query and ``n`` candidates, in a grid that has room for at least ``min_cells`` candidates."""
    if not 1 <= n <= MAX_CANDIDATES:
        raise SettingError(
            f"{n} candidates do not fit into one image: give 1 to {MAX_CANDIDATES}, "
            "or let ListwiseReranker split longer lists into windows"
        )
    if columns < 1:
        raise SettingError(f"{columns} columns make no grid: use 1 or more")
    rows = -(-(max(n, min_cells) + 1) // columns)
    corners = ((label % columns * cell, label // columns * cell) for label in range(n + 1))
    cells = (layout_cell(str(label) if label else QUERY, cell, *corner) for label, corner in enumerate(corners))
    return Layout((columns * cell, rows * cell), tuple(cells))


def fit(size: tuple[int, int], frame: Box) -> Box:
    """Center an image of ``size`` in ``frame``, as large as possible, with its aspect ratio."""
    left, top, right, bottom = frame
    scale = min((right - left) / size[0], (bottom - top) / size[1])
    width = min(right - left, max(1, round(size[0] * scale)))
    height = min(bottom - top, max(1, round(size[1] * scale)))
    x, y = (left + right - width) // 2, (top + bottom - height) // 2
    return x, y, x + width, y + height


def _paste_fitted(canvas: Image.Image, image: Image.Image, frame: Box) -> None:
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, WHITE)
        image = Image.alpha_composite(white, image.convert("RGBA"))
    elif image.mode.startswith("I"):  # 16 bits per pixel: Pillow would clip, not scale
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    box = fit(image.size, frame)
    size = (box[2] - box[0], box[3] - box[1])
    # reducing_gap makes camera-sized photos ten times faster and leaves small ones untouched.
    canvas.paste(image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), box)


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


def _write_wrapped(canvas: Image.Image, text: str, font_size: int) -> None:
    font = ImageFont.load_default(font_size)
    for characters in range(32, 0, -2):  # wrap ever shorter until the widest line fits
        lines = wrap(" ".join(text.split()), width=characters, max_lines=7, placeholder="…")
        if all(font.getlength(line) <= canvas.width * 7 // 8 for line in lines):
            return _write_lines(canvas, lines, font_size)
