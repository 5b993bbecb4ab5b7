"""Contact sheet: one image with the query and all results, before and after reranking."""

from __future__ import annotations

import math
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from mmrag.errors import SettingError
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

_font = ImageFont.load_default


def write_sheet(file: Path, found: RankedImages) -> None:
    """Write `contact_sheet` in the format of the file's extension; raises SettingError if that is unknown."""
    sheet = contact_sheet(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        sheet.save(file)
    except ValueError as error:
        raise SettingError(f"{file} is no name of an image file: let it end in .png") from error


def contact_sheet(found: RankedImages, *, cell: int = 180) -> Image.Image:
    """Draw the query at the left and the results at the right, best first.

    >>> contact_sheet(RankedImages(query=Query("mug"))).size
    (420, 314)
    """
    count, reranked = len(found.results), found.stage == "reranked"
    columns = max(1, min(count, 9) if reranked else math.ceil(math.sqrt(count)))
    strips = [(f"{count} found", found.results)]
    if reranked:
        strips = [("retrieved", found.retrieved), ("reranked by the vision LLM", found.results)]
    strip_height = HEADING + math.ceil(count / columns) * (cell + CAPTION)
    left = MARGIN + cell + MARGIN
    height = MARGIN * 2 + max(strip_height * len(strips), HEADING + cell + CAPTION + MARGIN)
    sheet = Image.new("RGB", (left + columns * (cell + MARGIN), height), PAPER)
    _draw_query(sheet, found, cell)
    for number, (heading, images) in enumerate(strips):
        top = MARGIN + number * strip_height
        ImageDraw.Draw(sheet).text((left, top), heading, FAINT, _font(16))
        for position, image in enumerate(images):
            row, column = divmod(position, columns)
            corner = (left + column * (cell + MARGIN), top + HEADING + row * (cell + CAPTION))
            _draw_result(sheet, image, thumbnail(image.path, cell, found.policy), corner, reranked=number == 1)
    return sheet


def _draw_query(sheet: Image.Image, found: RankedImages, cell: int) -> None:
    draw, font = ImageDraw.Draw(sheet), _font(16)
    draw.text((MARGIN, MARGIN), "query", QUERY, font)
    query = found.query or Query("?")
    top = MARGIN + HEADING
    if query.image is not None:
        sheet.paste(thumbnail(query.image, cell, found.policy), (MARGIN, top))
        draw.rectangle((MARGIN - 3, top - 3, MARGIN + cell + 2, top + cell + 2), outline=QUERY, width=3)
        top += cell + 10
    letters = max(8, int(cell / font.getlength("e")))
    for line in wrap(query.text, letters, max_lines=MAX_LINES, placeholder=" …"):
        draw.text((MARGIN, top), line, INK, font)
        top += 21


def _draw_result(
    sheet: Image.Image, result: RankedImage, image: Image.Image, corner: tuple[int, int], *, reranked: bool
) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner
    cell = image.width
    sheet.paste(image, corner)
    draw.rectangle((left, top, left + cell - 1, top + cell - 1), outline=LINE)
    _draw_badge(draw, str(result.rank if reranked else result.retrieval_rank), (left + 6, top + 6))
    draw.text((left, top + cell + 4), _truncate(result.title, cell), INK, _font(13))
    draw.text((left, top + cell + 21), f"{result.score:.3f}", FAINT, _font(12))
    if reranked and result.direction != "same":
        change = f"{result.direction} {abs(result.retrieval_rank - result.rank)}"  # the built-in font has no arrows
        color = BETTER if result.direction == "up" else WORSE
        draw.text((left + cell, top + cell + 21), change, color, _font(12), anchor="ra")


def _draw_badge(draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int]) -> None:
    text_corner, font = (corner[0] + 7, corner[1] + 4), _font(15)
    right = draw.textbbox(text_corner, text, font)[2]
    draw.rounded_rectangle((*corner, right + 7, corner[1] + 24), 6, fill=INK)
    draw.text(text_corner, text, PAPER, font)


def _truncate(text: str, width: int) -> str:
    font = _font(13)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
