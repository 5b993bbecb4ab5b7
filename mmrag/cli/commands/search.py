"""`mmrag search`: a sentence, an image, or both; answers as a table, JSON, a sheet, a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import messages, results, write_json
from mmrag.cli.options import Database, Json, Rerank, Searching
from mmrag.errors import QueryError

if TYPE_CHECKING:
    from mmrag.images import ImageSource
    from mmrag.results import Found

__all__ = ["search"]

STDIN = "-"
_IN_A_ROW = 9
_UNKNOWN = 200  # letters of words that are told
_THUMBNAIL = 64  # pixels; a terminal shows fewer still


def search(
    text: Annotated[str, typer.Argument(help="What is wanted, in words.", show_default=False)] = "",
    image: Annotated[str | None, typer.Option("--image", "-i", help="An image: file, URL, or - for stdin.")] = None,
    filter_by: Annotated[
        str | None, typer.Option("--filter", "-f", help="""As in: price < 40 and product == "mug".""")
    ] = None,
    rerank: Rerank = True,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Write a contact sheet to this image file.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page to this file.")] = None,
    db: Database = None,
    as_json: Json = False,
    **given: Unpack[Searching],
) -> None:
    """Find the images that a sentence and an image ask for.

    Example: mmrag search "phone case with this" --image leopard.jpg --db shop.db --sheet out.png
    """
    from mmrag.filters import parse_filter
    from mmrag.query import Query
    from mmrag.reports.contact_sheet import write_sheet
    from mmrag.reports.html import write_report
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **given)
    query = Query(text, _image(image))
    filters = parse_filter(filter_by) if filter_by else None

    with messages().status("loading the models"):
        from mmrag.search import Searcher

        searcher = Searcher.open(settings)
    with searcher, messages().status("searching"):
        found = searcher.search(query, top=settings.top, filters=filters, rerank=rerank)
    if as_json:
        write_json(found.to_json())
    else:
        _show(found)
    if sheet:
        write_sheet(sheet, found)
        messages().print(f"written: {sheet}", soft_wrap=True)
    if html:
        write_report(html, [found], title=text or "image search")
        messages().print(f"written: {html}", soft_wrap=True)


def _image(image: str | None) -> ImageSource | None:
    if image != STDIN:
        return image
    given = b""
    if sys.stdin:  # there is none when a program was started with it closed
        if sys.stdin.isatty():
            messages().print("reading an image from the terminal's input; Ctrl-D ends it")
        given = sys.stdin.buffer.read()
    if not given:
        raise QueryError("no image came by stdin: mmrag search --image - < leopard.jpg")
    return given


def _show(found: Found) -> None:
    from rich.table import Table
    from rich.text import Text

    from mmrag.cli.blocks import image_row, shows_images
    from mmrag.images.encode import thumbnail

    if found.unknown_words:
        unknown = ", ".join(found.unknown_words)
        unknown = unknown if len(unknown) <= _UNKNOWN else unknown[:_UNKNOWN] + "…"
        messages().print(f"the encoder does not know: {unknown}")
    if not found.hits:
        results().print("nothing found: loosen the filter, or index some images first")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "", "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("title")
    table.add_column("image", overflow="fold", style="dim")  # a cut path opens nothing
    colors = {"up": "green", "down": "red", "same": "dim"}
    for move in found.moves:
        arrow = Text(move.arrow if found.reranked else "", style=colors[move.way])
        score = f"{move.hit.score:.3f}"
        table.add_row(str(move.after), arrow, score, Text(move.hit.title), Text(move.hit.place))
    results().print(table)
    if shows_images(results()):
        first = found.moves[:_IN_A_ROW]
        shown = [thumbnail(move.hit.image, _THUMBNAIL, found.policy) for move in first]
        results().print(image_row(shown, width=results().width))
    if found.reranked:
        if found.reranked.ranking.reason:
            results().print(Text(f"reason: {found.reranked.ranking.reason}"))
        for repair in found.reranked.ranking.repairs:
            results().print(Text(f"repaired: {repair}"))
    times = ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in found.timings_ms.items())
    messages().print(times, style="dim")
