"""Small images in a terminal. In: images. Out: text whose half blocks are two pixels each."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

__all__ = ["image_row", "shows_images"]

_HALF = "▀"  # its ink is the upper pixel, its ground the lower
_GAP = 1
_GROUND = "white"


def shows_images(console: Console) -> bool:
    """Tell whether a terminal has the colors for it; files and pipes have not."""
    colorful = console.color_system == "truecolor" and not console.no_color
    return console.is_terminal and colorful


def image_row(images: Sequence[Image.Image], *, width: int) -> Text:
    """Draw square images beside each other, together at most ``width`` characters wide.

    Examples
    --------
    >>> row = image_row([Image.new("RGB", (9, 9), "red")] * 2, width=10)
    >>> row.plain.splitlines()
    ['▀▀▀▀ ▀▀▀▀ ', '▀▀▀▀ ▀▀▀▀ ']
    """
    side = max(2, (width // max(1, len(images)) - _GAP) // 2 * 2)
    squares = [_square(image, side) for image in images]
    row = Text()
    for y in range(0, side, 2):
        for square in squares:
            for x in range(side):
                row.append(_HALF, Style(color=_at(square, x, y), bgcolor=_at(square, x, y + 1)))
            row.append(" " * _GAP)
        row.append("\n")
    return row


def _square(image: Image.Image, side: int) -> Image.Image:
    square = Image.new("RGB", (side, side), _GROUND)
    small = image.convert("RGB")
    small.thumbnail((side, side))
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def _at(square: Image.Image, x: int, y: int) -> Color:
    pixel = square.getpixel((x, y))
    assert isinstance(pixel, tuple)  # the square is RGB
    return Color.from_rgb(*pixel)
