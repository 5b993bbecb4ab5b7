"""`mmrag bench`: images/s, search and rerank milliseconds, on this machine and index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import results, stage, write_json
from mmrag.cli.options import Database, Json, Rerank, Searching

if TYPE_CHECKING:
    from mmrag.cli.timing import Timings

__all__ = ["bench"]


def bench(
    db: Database = None,
    rerank: Rerank = True,
    repeats: Annotated[int, typer.Option(min=1, help="Searches to time; a fifth reranks.")] = 25,
    as_json: Json = False,
    **given: Unpack[Searching],
) -> None:
    """Time encoder, search and reranking with the images of an index.

    Example: mmrag bench --db shop.db --no-rerank
    """
    from dataclasses import asdict

    from mmrag.cli.timing import measure
    from mmrag.search import Searcher
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **given)
    with Searcher.open(settings) as searcher, stage("timing") as show:
        timings = measure(searcher, repeats, rerank, show)
    if as_json:
        write_json(asdict(timings))
    else:
        _show(timings)


def _show(timings: Timings) -> None:
    from rich.table import Table

    results().print(f"{timings.stored} images, {timings.model} on {timings.device}")
    results().print(f"encoder: {timings.images_per_second:.1f} images/s")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    table.add_column("median ms", justify="right")
    table.add_column("slowest ms", justify="right")
    for name, (median, slowest) in timings.stages.items():
        table.add_row(name, f"{median:.1f}", f"{slowest:.1f}")
    results().print(table)
