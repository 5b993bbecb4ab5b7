"""`mmrag index`: folders, patterns and tables into a collection; killed anywhere, it can go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, Unpack

import typer

from mmrag.cli.console import messages, results, stage, write_json
from mmrag.cli.options import Indexing, Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mmrag.images import ImagePolicy
    from mmrag.indexing import IndexReport
    from mmrag.indexing.amazon_reviews import AmazonItems
    from mmrag.indexing.sources import Sources
    from mmrag.indexing.tables import Table
    from mmrag.search import Searcher

__all__ = ["index"]

SHOWN_SKIPS = 10
INTERRUPTED = 130  # what a shell expects of a program that was stopped by Ctrl-C


def index(
    source: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER...", help="Folders, patterns, CSV/JSONL/Parquet tables.", show_default=False),
    ],
    into: Annotated[
        str | None, typer.Option("--into", "--db", metavar="DB", help="A folder x.db, or a server.")
    ] = None,
    image_column: Annotated[str | None, typer.Option("--image-column", help="A table's column of images.")] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the images of Amazon's meta_….jsonl.")
    ] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Also remove what the sources no longer name.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Trust no record: read all files, look up all images.")
    ] = False,
    as_json: Json = False,
    **given: Unpack[Indexing],
) -> None:
    """Index images; what is in the index already is not embedded again.

    Example: mmrag index photos/ shop.csv --into shop.db --model base-en-v1.5
    """
    from mmrag.indexing.sources import read_sources
    from mmrag.settings import read_settings

    settings = read_settings(db=into, **given)
    sources = read_sources(source, image_column, images)
    for table in sources.tables:
        _tell_columns(table)
    if sync and sources.files.paths:
        messages().print("--sync: put patterns into quotes; of files named one by one all stay")
    with messages().status("loading the encoder"):
        from mmrag.search import Searcher

        searcher = Searcher(settings, sources.columns)
    with searcher:
        reports = list(_run(searcher, sources, sync=sync, verify=verify))
        stored = searcher.index.vector_store.count()
    if as_json:
        write_json({"db": settings.where, "stored": stored, "runs": [_told(r) for r in reports]})
        return
    for report in reports:
        _show(report)
    results().print(f"{settings.where} now holds {stored} images")


class _How(TypedDict):
    verify: bool
    policy: ImagePolicy
    on_progress: Callable[[int, int], None]


def _tell_columns(table: Table | AmazonItems) -> None:
    if table.left_out:
        left_out = ", ".join(table.left_out)
        messages().print(f"{table.file}: lists and empty columns are left out: {left_out}")
    renamed = [f"{field} ({column})" for column, field in table.fields.items() if field != column]
    if renamed:
        messages().print(f"{table.file}: filters call columns {', '.join(renamed)}")


def _run(searcher: Searcher, sources: Sources, *, sync: bool, verify: bool) -> Iterator[IndexReport]:
    done = 0
    try:
        with stage("indexing") as show:

            def progress(now: int, total: int) -> None:
                nonlocal done
                done = now
                show(now, total)

            how = _How(verify=verify, policy=searcher.policy, on_progress=progress)
            for folder in sources.folders:
                yield searcher.index.add_folder(folder, sync=sync, **how)
            for listing in (*sources.patterns, *sources.tables):
                yield searcher.index.add_listing(listing, sync=sync, **how)
            if sources.files.paths:
                yield searcher.index.add_listing(sources.files, **how)
    except KeyboardInterrupt:
        messages().print(f"stopped after {done} images; they stay. The same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


def _show(report: IndexReport) -> None:
    rate = report.embedded / report.seconds if report.seconds else 0.0
    speed = f", {rate:.1f} images/s" if report.embedded else ""
    results().print(f"{report}{speed}", soft_wrap=True, markup=False)
    for skipped in report.skipped[:SHOWN_SKIPS]:
        messages().print(f"  skipped {skipped}", soft_wrap=True, markup=False, style="yellow")
    if len(report.skipped) > SHOWN_SKIPS:
        messages().print(f"  … and {len(report.skipped) - SHOWN_SKIPS} more (--json lists all)")


def _told(report: IndexReport) -> dict[str, object]:
    return {
        "source": report.source,
        "files": report.files,
        "new": report.new,
        "changed": report.changed,
        "moved": report.moved,
        "duplicate": report.duplicate,
        "deleted": report.deleted,
        "unchanged": report.unchanged,
        "skipped": [{"path": s.name, "reason": s.reason} for s in report.skipped],
        "embedded": report.embedded,
        "seconds": round(report.seconds, 3),
    }
