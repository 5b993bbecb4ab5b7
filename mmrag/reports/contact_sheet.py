"""Contact sheet: one image with the query and all results, before and after reranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from mmrag.errors import SettingError
from mmrag.images import ImagePolicy
from mmrag.images.encode import thumbnail
from mmrag.query import Query
from mmrag.results import RankedImage, RankedImages

__all__ = ["contact_sheet", "write_sheet"]

PAPER = (250, 250, 248)
INK = (24, 26, 32)
FAINT = (110, 112, 120)
LINE = (222, 222, 216)
QUERY = (0, 98, 255)
BETTER = (20, 130, 70)
WORSE = (190, 60, 40)

MARGIN = 20
CAPTION = 44
HEADING = 30
MAX_LINES = 5


def write_sheet(file: Path, found: RankedImages) -> None:
    """Write `contact_sheet` to an image file in the format of its extension.

    Raises
    ------
    SettingError
        If the extension is unknown.
    """
    sheet = contact_sheet(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        sheet.save(file)
    except ValueError as error:
        raise SettingError(f"{file} is no name of an image file: let it end in .png") from error


def contact_sheet(found: RankedImages, *, cell: int = 180) -> Image.Image:
    """Draw the query at the left and the results at the right, best first.

    Examples
    --------
    >>> contact_sheet(RankedImages(query=Query("mug"))).size
    (420, 314)
    """
    strips = _strips(found)
    columns = _columns(found)
    heights = [HEADING + _rows(len(strip.images), columns) * (cell + CAPTION) for strip in strips]
    width = MARGIN + cell + MARGIN + max(1, columns) * (cell + MARGIN)
    size = (width, max(MARGIN * 2 + sum(heights), MARGIN * 2 + HEADING + cell + CAPTION + MARGIN))
    sheet = Image.new("RGB", size, PAPER)
    _draw_query(sheet, found, cell)
    top = MARGIN
    for strip, height in zip(strips, heights, strict=True):
        _draw_strip(sheet, strip, top, cell, columns, found.policy)
        top += height
    return sheet


@dataclass(frozen=True)
class _Strip:
    heading: str
    images: Sequence[RankedImage]
    reranked: bool


def _strips(found: RankedImages) -> list[_Strip]:
    if found.stage == "retrieved":
        return [_Strip(f"{len(found.results)} found", found.results, reranked=False)]
    return [
        _Strip("retrieved", found.retrieved, reranked=False),
        _Strip("reranked by the vision LLM", found.results, reranked=True),
    ]


def _columns(found: RankedImages) -> int:
    count = len(found.results)
    return min(count, 9) if found.stage == "reranked" else math.ceil(math.sqrt(count))


def _rows(hits: int, columns: int) -> int:
    return math.ceil(hits / columns) if columns else 0


def _draw_query(sheet: Image.Image, found: RankedImages, cell: int) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), "query", QUERY, _font(16))
    query = found.query or Query("?")
    top = MARGIN + HEADING
    if query.image is not None:
        sheet.paste(thumbnail(query.image, cell, found.policy), (MARGIN, top))
        draw.rectangle((MARGIN - 3, top - 3, MARGIN + cell + 2, top + cell + 2), outline=QUERY, width=3)
        top += cell + 10
    for line in _wrap(query.text, cell, _font(16)):
        draw.text((MARGIN, top), line, INK, _font(16))
        top += 21


def _draw_strip(sheet: Image.Image, strip: _Strip, top: int, cell: int, columns: int, policy: ImagePolicy) -> None:
    draw = ImageDraw.Draw(sheet)
    left = MARGIN + cell + MARGIN
    draw.text((left, top), strip.heading, FAINT, _font(16))
    for position, image in enumerate(strip.images):
        row, column = divmod(position, columns)
        corner = (left + column * (cell + MARGIN), top + HEADING + row * (cell + CAPTION))
        _draw_result(sheet, image, thumbnail(image.path, cell, policy), corner, reranked=strip.reranked)


def _draw_result(
    sheet: Image.Image, result: RankedImage, image: Image.Image, corner: tuple[int, int], *, reranked: bool
) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner
    cell = image.width
    sheet.paste(image, corner)
    draw.rectangle((left, top, left + cell - 1, top + cell - 1), outline=LINE)
    _draw_badge(draw, str(result.rank if reranked else result.retrieval_rank), (left + 6, top + 6))
    draw.text((left, top + cell + 4), _truncate(result.title, cell, _font(13)), INK, _font(13))
    draw.text((left, top + cell + 21), f"{result.score:.3f}", FAINT, _font(12))
    if reranked and result.direction != "same":
        change = f"{result.direction} {abs(result.retrieval_rank - result.rank)}"  # the built-in font has no arrows
        color = BETTER if result.direction == "up" else WORSE
        draw.text((left + cell, top + cell + 21), change, color, _font(12), anchor="ra")


def _draw_badge(draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int]) -> None:
    font = _font(15)
    box = draw.textbbox((corner[0] + 7, corner[1] + 4), text, font)
    draw.rounded_rectangle((*corner, box[2] + 7, corner[1] + 24), 6, fill=INK)
    draw.text((corner[0] + 7, corner[1] + 4), text, PAPER, font)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrap(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    letters = max(8, int(width / font.getlength("e")))
    return wrap(text, letters, max_lines=MAX_LINES, placeholder=" …")


def _truncate(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
