"""One image a vision LLM can rank from. In: the query's image and up to 25 candidates.

Out: an RGB grid, the framed query first, then the candidates, each with its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from mmrag.rerank.layout import QUERY, Cell, Layout, fit

__all__ = ["bare_cell", "candidate_cell", "compose", "number_cell", "query_cell", "text_image"]

_LIGHT = (244, 244, 244)
_WHITE = (255, 255, 255)
_DARK = (16, 18, 24)
_GRAY = (120, 120, 120)
_FRAME = (0, 98, 255)
_READABLE = 10  # pixels; a query's text set smaller than this is left out
_SMOOTH = 4  # plates are drawn this much larger and averaged down: Pillow's discs are jagged


def compose(
    query_image: Image.Image | None,
    candidates: Sequence[Image.Image | None],
    *,
    cell: int = 336,
    columns: int = 4,
    query_text: str = "",
    places: int = 0,
) -> Image.Image:
    """Draw query and candidates into one RGB image.

    Parameters
    ----------
    query_image
        Goes into the framed cell 0; without it that cell shows ``query_text``.
    candidates
        1 to 25 images, in retrieval order; ``None`` makes a cell that says it is missing.
    cell
        Side of a cell in pixels: the crop side of the model that will look.
    columns
        Cells in a row.
    places
        Lay out at least this many candidate places, so short lists keep the shape of long ones.

    Examples
    --------
    >>> red = Image.new("RGB", (30, 20), "red")
    >>> compose(red, [red] * 9).size
    (1344, 1008)
    """
    layout = Layout.of(len(candidates), cell=cell, columns=columns, places=places)
    canvas = Image.new("RGB", layout.size, _LIGHT)
    query, *numbered = layout.cells
    canvas.paste(query_cell(query_image, cell, query_text=query_text), query.box)
    for place, image in zip(numbered, candidates, strict=True):
        canvas.paste(candidate_cell(image, int(place.text), cell), place.box)
    return canvas


def candidate_cell(image: Image.Image | None, label: int, cell: int) -> Image.Image:
    """Draw one numbered candidate, exactly as `compose` pastes it."""
    return number_cell(bare_cell(image, cell), label)


def bare_cell(image: Image.Image | None, cell: int) -> Image.Image:
    """Draw one candidate without its number, to be numbered later, and more than once."""
    canvas = Image.new("RGB", (cell, cell), _LIGHT)
    if image is None:
        _write_in_the_middle(canvas, ["missing"], cell // 8)
    else:
        _paste_fitted(canvas, image, Cell.of("1", cell))  # every number has the same frame
    return canvas


def number_cell(bare: Image.Image, label: int) -> Image.Image:
    """Stamp a candidate's number on a copy of its bare cell."""
    canvas = bare.copy()
    _stamp(canvas, Cell.of(str(label), bare.width), _DARK)
    return canvas


def query_cell(image: Image.Image | None, cell: int, *, query_text: str = "") -> Image.Image:
    """Draw the framed query, exactly as `compose` pastes it; without an image, its text."""
    place = Cell.of(QUERY, cell)
    canvas = Image.new("RGB", (cell, cell), _FRAME)
    canvas.paste(_LIGHT, place.frame)
    font_size = cell // 14
    if image is not None:
        _paste_fitted(canvas, image, place)
    elif font_size >= _READABLE:
        _write_in_the_middle(canvas, _lines(query_text or "text only", cell * 7 // 8, font_size), font_size)
    _stamp(canvas, place, _FRAME)
    return canvas


def text_image(text: str, side: int = 336) -> Image.Image:
    """Draw a text as a square image: a candidate that has words only can be seen as well."""
    canvas = Image.new("RGB", (side, side), _LIGHT)
    _write_in_the_middle(canvas, _lines(text, side * 7 // 8, side // 14), side // 14)
    return canvas


def _paste_fitted(canvas: Image.Image, image: Image.Image, place: Cell) -> None:
    box = fit(image.size, place.frame)
    size = (box[2] - box[0], box[3] - box[1])
    # reducing_gap makes camera-sized photos ten times faster and leaves small ones untouched.
    resized = _over_white(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    canvas.paste(resized, box)


def _over_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, _WHITE)
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip, not scale
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGB")


def _stamp(canvas: Image.Image, place: Cell, color: tuple[int, int, int]) -> None:
    plate = _plate(place, color)
    canvas.paste(plate, place.plate, plate)


@lru_cache(maxsize=256)
def _plate(place: Cell, color: tuple[int, int, int]) -> Image.Image:
    left, top, right, bottom = place.plate
    width, height = (right - left) * _SMOOTH, (bottom - top) * _SMOOTH
    ring = max(1, (bottom - top) // 16) * _SMOOTH
    plate = Image.new("RGBA", (width, height), (*_WHITE, 0))
    draw = ImageDraw.Draw(plate)
    # The white ring keeps a dark plate visible on a dark image.
    draw.rounded_rectangle((0, 0, width - 1, height - 1), height / 2, fill=_WHITE)
    inner = (ring, ring, width - 1 - ring, height - 1 - ring)
    draw.rounded_rectangle(inner, height / 2 - ring, fill=color)
    _write_centred(draw, place.text, (width / 2, height / 2), place.font_size * _SMOOTH, _WHITE)
    return plate.reduce(_SMOOTH)


def _write_centred(
    draw: ImageDraw.ImageDraw, text: str, middle: tuple[float, float], font_size: int, color: tuple[int, int, int]
) -> None:
    font = ImageFont.load_default(font_size)
    # Center the ink, not the line box: figures have no descenders and would sit too high.
    left, top, right, bottom = font.getbbox(text)
    origin = (middle[0] - (left + right) / 2, middle[1] - (top + bottom) / 2)
    draw.text(origin, text, fill=color, font=font)


def _write_in_the_middle(canvas: Image.Image, lines: list[str], font_size: int) -> None:
    draw = ImageDraw.Draw(canvas)
    step = font_size * 4 // 3
    first = canvas.height / 2 - step * (len(lines) - 1) / 2
    for place, line in enumerate(lines):
        middle = (canvas.width / 2, first + place * step)
        _write_centred(draw, line, middle, font_size, _GRAY)


def _lines(text: str, width: int, font_size: int) -> list[str]:
    font = ImageFont.load_default(font_size)
    for letters in range(32, 0, -2):  # wrap ever shorter until the widest line fits
        lines = wrap(" ".join(text.split()), width=letters, max_lines=7, placeholder="…")
        if all(font.getlength(line) <= width for line in lines):
            return lines
    return []
