"""Geometry of a composite image: boxes (left, top, right, bottom) in pixels, without drawing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

from mmrag.errors import SettingError

__all__ = ["MAX_CANDIDATES", "MIN_CELL", "QUERY", "Box", "Cell", "Layout", "layout_cell", "layout_grid"]

Box = tuple[int, int, int, int]

QUERY = "query"
MAX_CANDIDATES = 25
MIN_CELL = 32  # pixels


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
    """Lay out the cell with the badge ``text`` and its top-left corner at ``(left, top)``.

    Examples
    --------
    >>> layout_cell("7", 96).frame
    (1, 1, 95, 95)
    """
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
    """Lay out the query and ``n`` candidates, in a grid that has room for at least ``min_cells`` candidates.

    Examples
    --------
    >>> layout_grid(9).size, layout_grid(9, cell=96, columns=5).size
    ((1344, 1008), (480, 192))
    >>> layout_grid(2, min_cells=9).size
    (1344, 1008)
    """
    if not 1 <= n <= MAX_CANDIDATES:
        raise SettingError(
            f"{n} candidates do not fit into one image: give 1 to {MAX_CANDIDATES}, "
            "or let ListwiseReranker split longer lists into windows"
        )
    if columns < 1:
        raise SettingError(f"{columns} columns make no grid: use 1 or more")
    rows = -(-(max(n, min_cells) + 1) // columns)
    cells: list[Cell] = []
    for label in range(n + 1):
        row, column = divmod(label, columns)
        cells.append(layout_cell(str(label) if label else QUERY, cell, column * cell, row * cell))
    return Layout((columns * cell, rows * cell), tuple(cells))
