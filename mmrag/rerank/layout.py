"""Where everything stands in a composite image. In: number of candidates, cell side, columns.

Out: boxes (left, top, right, bottom), so the geometry can be tested without drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageFont

from mmrag.errors import SettingError

__all__ = ["LARGEST_LIST", "QUERY", "SMALLEST_CELL", "Box", "Cell", "Layout", "fit"]

Box = tuple[int, int, int, int]

QUERY = "query"
LARGEST_LIST = 25
SMALLEST_CELL = 32


@dataclass(frozen=True)
class Cell:
    """One square of the grid, its number plate, and the frame an image must stay inside.

    Attributes
    ----------
    text
        What the plate says: ``"query"``, or the candidate's label.
    box, frame, plate
        The whole cell, the part an image may fill, the part the plate covers.
    font_size
        Of the plate's text; the plate is as wide as this text needs.
    """

    text: str
    box: Box
    frame: Box
    plate: Box
    font_size: int

    @classmethod
    def of(cls, text: str, side: int, left: int = 0, top: int = 0) -> Cell:
        """Lay out the cell that says ``text``, its top-left corner at ``(left, top)``.

        Examples
        --------
        >>> Cell.of("7", 96).frame
        (1, 1, 95, 95)
        """
        if side < SMALLEST_CELL:
            raise SettingError(f"a cell of {side} pixels is too small to be read: use {SMALLEST_CELL} or more")
        # The caption names a cell, a number must be read by a model: the number is larger.
        if text == QUERY:
            margin, height = max(2, side // 48), side // 8
            font_size = height * 2 // 3
        else:
            margin, height = max(1, side // 96), side * 5 // 24
            font_size = height * 4 // 5
        ink_left, _top, ink_right, _bottom = ImageFont.load_default(font_size).getbbox(text)
        # A single figure sits on a disc; longer texts widen it to a rounded plate.
        width = max(height, round(ink_right - ink_left) + height * 3 // 5)
        corner_x, corner_y = left + max(2, side // 48), top + max(2, side // 48)
        return cls(
            text=text,
            box=(left, top, left + side, top + side),
            frame=(left + margin, top + margin, left + side - margin, top + side - margin),
            plate=(corner_x, corner_y, corner_x + width, corner_y + height),
            font_size=font_size,
        )


@dataclass(frozen=True)
class Layout:
    """The grid: cell 0 holds the query, cells 1..n the candidates, in reading order."""

    size: tuple[int, int]
    cells: tuple[Cell, ...]

    @classmethod
    def of(cls, n: int, *, cell: int = 336, columns: int = 4, places: int = 0) -> Layout:
        """Lay out ``n`` candidates; with ``places`` > n the grid is as large as for ``places``.

        Examples
        --------
        >>> Layout.of(9).size, Layout.of(9, cell=96, columns=5).size
        ((1344, 1008), (480, 192))
        >>> Layout.of(2, places=9).size
        (1344, 1008)
        """
        if not 1 <= n <= LARGEST_LIST:
            raise SettingError(
                f"{n} candidates do not go into one image: give 1 to {LARGEST_LIST}, "
                "or let ListwiseReranker cut longer lists into windows"
            )
        if columns < 1:
            raise SettingError(f"{columns} columns make no grid: use 1 or more")
        rows = -(-(max(n, places) + 1) // columns)
        texts = [QUERY, *map(str, range(1, n + 1))]
        return cls(
            size=(columns * cell, rows * cell),
            cells=tuple(
                Cell.of(text, cell, place % columns * cell, place // columns * cell) for place, text in enumerate(texts)
            ),
        )


def fit(size: tuple[int, int], frame: Box) -> Box:
    """Place an image of ``size`` in the middle of ``frame``, as large as goes, never squashed.

    Examples
    --------
    >>> fit((400, 200), (1, 1, 95, 95))
    (1, 24, 95, 71)
    """
    left, top, right, bottom = frame
    wide, high = right - left, bottom - top
    scale = min(wide / size[0], high / size[1])
    width = min(wide, max(1, round(size[0] * scale)))
    height = min(high, max(1, round(size[1] * scale)))
    x, y = left + (wide - width) // 2, top + (high - height) // 2
    return x, y, x + width, y + height
