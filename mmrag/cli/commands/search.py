"""`mmrag search`: search by text, image or both; results as a table, JSON, contact sheet or HTML page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import stderr_console, stdout_console, write_json
from mmrag.cli.options import Database, Json, Rerank, SearchOptions
from mmrag.errors import QueryError

if TYPE_CHECKING:
    from mmrag.results import RankedImages

__all__ = ["search"]

STDIN = "-"
MAX_UNKNOWN = 200  # characters
COLORS = {"up": "green", "down": "red", "same": "dim"}


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
    **options: Unpack[SearchOptions],
) -> None:
    """Search images by a text, an image, or both.

    Example: mmrag search "phone case with this" --image leopard.jpg --db shop.db --sheet out.png
    """
    from mmrag.filters import parse_filter
    from mmrag.query import Query
    from mmrag.reports.contact_sheet import write_sheet
    from mmrag.reports.html import write_report
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **options)
    query = Query(text, _read_stdin() if image == STDIN else image)
    filters = parse_filter(filter_by) if filter_by else None

    with stderr_console().status("loading the models"):
        from mmrag.search import ImageSearcher

        searcher = ImageSearcher.open(settings)
    with searcher, stderr_console().status("searching"):
        found = searcher.search(query, top=settings.top, filters=filters, rerank=rerank)
    if as_json:
        write_json(found.to_json())
    else:
        _show(found)
    if sheet:
        write_sheet(sheet, found)
        stderr_console().print(f"written: {sheet}", soft_wrap=True)
    if html:
        write_report(html, [found], title=text or "image search")
        stderr_console().print(f"written: {html}", soft_wrap=True)


def _read_stdin() -> bytes:
    data = b""
    if sys.stdin:  # None if the program was started with stdin closed
        if sys.stdin.isatty():
            stderr_console().print("reading an image from the terminal's input; Ctrl-D ends it")
        data = sys.stdin.buffer.read()
    if not data:
        raise QueryError("no image came by stdin: mmrag search --image - < leopard.jpg")
    return data


def _show(found: RankedImages) -> None:
    from rich.table import Table
    from rich.text import Text

    out = stdout_console()
    if found.unknown_words:
        unknown = ", ".join(found.unknown_words)
        unknown = unknown if len(unknown) <= MAX_UNKNOWN else unknown[:MAX_UNKNOWN] + "…"
        stderr_console().print(f"the encoder does not know: {unknown}")
    if not found.results:
        out.print("nothing found: loosen the filter, or index some images first")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "", "score"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("title")
    table.add_column("image", overflow="fold", style="dim")  # a truncated path cannot be opened
    reranked = found.stage == "reranked"
    for image in found.results:
        arrow = Text(image.rank_change if reranked else "", style=COLORS[image.direction])
        table.add_row(str(image.rank), arrow, f"{image.score:.3f}", Text(image.title), Text(image.display_path))
    out.print(table)
    if found.reason:
        out.print(f"reason: {found.reason}")
    for note in (*found.failures, *(f"repaired: {repair}" for repair in found.repairs)):
        out.print(note)
    times = ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in found.timings_ms.items())
    stderr_console().print(times, style="dim")
