"""Small pictures in a terminal. In: pictures. Out: text whose half blocks are two pixels each."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

__all__ = ["picture_row", "shows_pictures"]

_HALF = "▀"  # its ink is the upper pixel, its ground the lower
_GAP = 1
_GROUND = "white"


def shows_pictures(console: Console) -> bool:
    """Tell whether a terminal has the colours for it; files and pipes have not."""
    colourful = console.color_system == "truecolor" and not console.no_color
    return console.is_terminal and colourful


def picture_row(pictures: Sequence[Image.Image], *, width: int) -> Text:
    """Draw square pictures beside each other, together at most ``width`` characters wide.

    Examples
    --------
    >>> row = picture_row([Image.new("RGB", (9, 9), "red")] * 2, width=10)
    >>> row.plain.splitlines()
    ['▀▀▀▀ ▀▀▀▀ ', '▀▀▀▀ ▀▀▀▀ ']
    """
    side = max(2, (width // max(1, len(pictures)) - _GAP) // 2 * 2)
    squares = [_square(picture, side) for picture in pictures]
    row = Text()
    for y in range(0, side, 2):
        for square in squares:
            for x in range(side):
                row.append(_HALF, Style(color=_at(square, x, y), bgcolor=_at(square, x, y + 1)))
            row.append(" " * _GAP)
        row.append("\n")
    return row


def _square(picture: Image.Image, side: int) -> Image.Image:
    square = Image.new("RGB", (side, side), _GROUND)
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def _at(square: Image.Image, x: int, y: int) -> Color:
    pixel = square.getpixel((x, y))
    assert isinstance(pixel, tuple)  # the square is RGB
    return Color.from_rgb(*pixel)
