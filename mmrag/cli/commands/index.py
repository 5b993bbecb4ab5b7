"""`mmrag index`: folders, patterns and tables into a collection."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

import typer

from mmrag.cli.console import progress, stderr_console, stdout_console, write_json
from mmrag.cli.options import IndexOptions, Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mmrag.indexing import IndexReport, SourceLike
    from mmrag.indexing.amazon_reviews import AmazonItems
    from mmrag.indexing.tables import Table
    from mmrag.search import ImageSearcher

__all__ = ["index"]

SHOWN_SKIPS = 10
INTERRUPTED = 130  # exit code that shells expect after Ctrl-C


def index(
    source: Annotated[
        list[str], typer.Argument(metavar="FOLDER...", help="Folders, patterns, CSV/JSONL/Parquet tables.")
    ],
    into: Annotated[
        str | None, typer.Option("--into", "--db", metavar="DB", help="A folder x.db, or a server.")
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="A table's column of images.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images of Amazon's meta_….jsonl.")] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Also remove what the sources no longer name.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Rehash every file instead of trusting the manifest.")
    ] = False,
    as_json: Json = False,
    **options: Unpack[IndexOptions],
) -> None:
    """Index images; images that are in the index already are not embedded again.

    Example: mmrag index photos/ shop.csv --into shop.db --model base-en-v1.5
    """
    from mmrag.indexing import Entries, open_sources
    from mmrag.indexing.amazon_reviews import AmazonItems
    from mmrag.indexing.sources import column_types
    from mmrag.indexing.tables import Table
    from mmrag.settings import read_settings

    settings = read_settings(db=into, **options)
    sources = open_sources(source, image_column, images)
    for opened in sources:
        if isinstance(opened, (Table, AmazonItems)):
            _show_columns(opened)
    if sync and any(isinstance(opened, Entries) for opened in sources):
        stderr_console().print("--sync: put patterns into quotes; of files named one by one all stay")
    with stderr_console().status("loading the encoder"):
        from mmrag.search import ImageSearcher

        searcher = ImageSearcher(settings, column_types(sources))
    with searcher:
        reports = list(_index(searcher, sources, sync=sync, verify=verify))
        stored = searcher.index.vector_store.count()
    if as_json:
        write_json({"db": settings.where, "stored": stored, "runs": [_to_json(report) for report in reports]})
        return
    for report in reports:
        _show(report)
    stdout_console().print(f"{settings.where} now holds {stored} images")


def _show_columns(table: Table | AmazonItems) -> None:
    if table.skipped_columns:
        stderr_console().print(
            f"{table.file}: lists and empty columns are left out: {', '.join(table.skipped_columns)}"
        )
    renamed = [f"{field} ({column})" for column, field in table.fields.items() if field != column]
    if renamed:
        stderr_console().print(f"{table.file}: filters call columns {', '.join(renamed)}")


def _index(
    searcher: ImageSearcher, sources: Sequence[SourceLike], *, sync: bool, verify: bool
) -> Iterator[IndexReport]:
    from mmrag.indexing import Entries

    done = 0
    try:
        with progress("indexing") as show:

            def on_progress(now: int, total: int) -> None:
                nonlocal done
                done = now
                show(now, total)

            for source in sources:
                yield searcher.index.add_folder(
                    source,
                    sync=sync and not isinstance(source, Entries),  # files named one by one all stay
                    verify=verify,
                    policy=searcher.policy,
                    on_progress=on_progress,
                )
    except KeyboardInterrupt:
        stderr_console().print(f"stopped after {done} images; they stay. The same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


def _show(report: IndexReport) -> None:
    speed = f", {report.embedded / report.seconds:.1f} images/s" if report.embedded else ""
    stdout_console().print(f"{report}{speed}", soft_wrap=True)
    for skipped in report.skipped[:SHOWN_SKIPS]:
        stderr_console().print(f"  skipped {skipped}", soft_wrap=True, style="yellow")
    if len(report.skipped) > SHOWN_SKIPS:
        stderr_console().print(f"  … and {len(report.skipped) - SHOWN_SKIPS} more (--json lists all)")


def _to_json(report: IndexReport) -> dict[str, Any]:
    skipped = [{"path": each.name, "reason": each.reason} for each in report.skipped]
    return asdict(report) | {"files": report.files, "skipped": skipped, "seconds": round(report.seconds, 3)}
