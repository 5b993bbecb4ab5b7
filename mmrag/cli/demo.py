"""The whole pipeline on a drawn catalog. In: a folder. Out: searches, figures, a page."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from mmrag.datasets import DrawnQuery, Item, QueryType, draw_swatch, plan_catalog, queries, read_catalog, write_catalog
from mmrag.evaluation.metrics import Grades, summarize
from mmrag.filters import Scalar
from mmrag.indexing import IndexReport
from mmrag.query import Query
from mmrag.reports.contact_sheet import write_sheet
from mmrag.reports.html import Figure, write_report
from mmrag.results import Found
from mmrag.search import Searcher
from mmrag.settings import Settings

__all__ = ["Demo", "run_demo"]

TOP = 9
UNSEEN = 20_261_124
"""A seed of queries that nothing was trained on: training draws from others."""
COLUMNS: dict[str, type[Scalar]] = {
    "item": str,
    "title": str,
    "product": str,
    "pattern": str,
    "color": str,
    "price": float,
}

Progress = Callable[[int, int], None]
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Demo:
    """What the demo did.

    Attributes
    ----------
    indexed
        What had to be done to the index; nothing the second time.
    searches
        The ones to look at: on the page, and on the sheets.
    figures
        Measured over many more.
    timings_ms
        Median of each stage of those.
    page, sheets
        Where to look.
    """

    indexed: IndexReport
    searches: tuple[Found, ...]
    figures: tuple[Figure, ...]
    timings_ms: Mapping[str, float]
    page: Path
    sheets: tuple[Path, ...]


def run_demo(
    folder: Path, settings: Settings, stage: Stage, *, images: int = 900, n_queries: int = 100, rerank: bool = True
) -> Demo:
    """Draw a catalog, index it, search it by image and sentence, rerank, and measure.

    Parameters
    ----------
    folder
        Where everything goes; what is there already is used again.
    settings
        Which models, and the database.
    stage
        Opens a progress bar by name.
    images, n_queries
        How large the catalog is, and how many queries are measured.
    rerank
        Let the vision LLM look.
    """
    shop = folder / "catalog"
    with Searcher(settings, COLUMNS) as searcher:
        if rerank:
            _ = searcher.reranker  # a missing one is told now, not after minutes of drawing
        with stage("drawing") as progress:
            items = _catalog(shop, images, progress)
        with stage("indexing") as progress:
            known = {item.file: _fields(item) for item in items}
            indexed = searcher.index.add_folder(shop, metadata=known, on_progress=progress)
        asked = list(_shown(folder / "queries", items))
        searches: list[Found] = []
        with stage("searching") as progress:
            for query in asked:
                progress(len(searches), len(asked))
                searches.append(searcher.search(query, top=TOP, rerank=rerank))
        with stage("measuring") as progress:
            judged = _judged(searcher, items, n_queries, rerank, progress)
    measured = tuple(summarize(judged, depth=TOP, item="item"))
    note = f"{n_queries} queries of unseen seeds, {images} drawn images, top {TOP}"
    page = folder / "index.html"
    write_report(page, searches, title="mmrag demo", figures=measured, note=note)
    return Demo(
        indexed=indexed,
        searches=tuple(searches),
        figures=measured,
        timings_ms=_medians([found for found, _ in judged]),
        page=page,
        sheets=tuple(_sheets(folder, searches)),
    )


def _catalog(folder: Path, n: int, on_progress: Progress) -> list[Item]:
    planned = plan_catalog(n)
    if (folder / "catalog.jsonl").is_file() and read_catalog(folder) == planned:
        return planned
    return write_catalog(folder, n, on_progress=on_progress)


def _shown(folder: Path, items: list[Item]) -> Iterator[Query]:
    """Make up searches to look at, one of each kind, the swatch first; their images are kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    leopard = folder / "leopard.jpg"
    draw_swatch("leopard", "tan", UNSEEN).save(leopard, quality=92)
    yield Query("phone case with this", leopard)
    for query_type in list(QueryType)[1:]:
        query = queries(query_type, 1, UNSEEN, catalog=items)[0]
        image, file = query.image(), folder / f"{query_type}.jpg"
        if image is not None:
            image.save(file, quality=92)
        yield Query(query.text, None if image is None else file)
    yield Query("mug with dinosaurs")  # to show what happens to a word that it was never taught


def _judged(
    searcher: Searcher, items: list[Item], n: int, rerank: bool, on_progress: Progress
) -> list[tuple[Found, Grades]]:
    """Search for n queries of all kinds, and grade the whole catalog for each."""
    each = -(-n // len(QueryType))
    mixed = [query for query_type in QueryType for query in queries(query_type, each, UNSEEN + 1, catalog=items)]
    searches: list[tuple[Found, Grades]] = []
    for query in random.Random(UNSEEN).sample(mixed, n):
        on_progress(len(searches), n)
        found = searcher.search(Query(query.text, query.image()), top=TOP, rerank=rerank)
        searches.append((_light(found), _grades(query, items)))
    return searches


def _grades(query: DrawnQuery, items: list[Item]) -> Grades:
    graded = ((i.id, query.target.grade(i.product, i.pattern, i.color)) for i in items)
    return {item: grade for item, grade in graded if grade}


def _light(found: Found) -> Found:
    """Let go of the composites, a few megabytes a search."""
    if found.reranked is None:
        return found
    return replace(found, reranked=replace(found.reranked, looks=()))


def _fields(item: Item) -> dict[str, Scalar]:
    fields = (item.id, item.title, item.product, item.pattern, item.color, item.price)
    return dict(zip(COLUMNS, fields, strict=True))


def _medians(searches: Sequence[Found]) -> dict[str, float]:
    stages = dict.fromkeys(stage for found in searches for stage in found.timings_ms)
    return {stage: median(f.timings_ms[stage] for f in searches if stage in f.timings_ms) for stage in stages}


def _sheets(folder: Path, searches: Sequence[Found]) -> Iterator[Path]:
    for number, found in enumerate(searches, 1):
        file = folder / f"sheet-{number}.png"
        write_sheet(file, found)
        yield file
        if found.reranked and found.reranked.composite:
            found.reranked.composite.save(folder / f"composite-{number}.png")
