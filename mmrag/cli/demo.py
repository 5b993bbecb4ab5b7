"""The whole pipeline on a drawn catalog: index, search, rerank, metrics and a report."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrag.datasets import Item, QueryType, draw_swatch, plan_catalog, queries, read_catalog, write_catalog
from mmrag.evaluation.metrics import Grades, percentiles, summarize
from mmrag.filters import Scalar
from mmrag.indexing import IndexReport
from mmrag.query import Query
from mmrag.reports.contact_sheet import write_sheet
from mmrag.reports.html import Figure, write_report
from mmrag.results import RankedImages
from mmrag.search import ImageSearcher
from mmrag.settings import Settings

__all__ = ["DemoResult", "run_demo"]

TOP = 9
SEED = 20_261_124  # the bundled models were trained on queries of other seeds
COLUMNS = {**dict.fromkeys(("item", "title", "product", "pattern", "color"), str), "price": float}

OnProgress = Callable[[int, int], None]
Progress = Callable[[str], AbstractContextManager[OnProgress]]


@dataclass(frozen=True)
class DemoResult:
    """Searches on the page and the contact sheets; metrics and medians of the stages over many more."""

    indexed: IndexReport
    searches: tuple[RankedImages, ...]
    figures: tuple[Figure, ...]
    timings_ms: Mapping[str, float]
    page: Path
    sheets: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all but the images."""
        return {
            "indexed": str(self.indexed),
            "searches": [found.to_json() for found in self.searches],
            "figures": {f.name: {"retrieved": f.before, "reranked": f.after} for f in self.figures},
            "timings_ms": dict(self.timings_ms),
            "page": str(self.page),
            "sheets": [str(sheet) for sheet in self.sheets],
        }


def run_demo(
    folder: Path, settings: Settings, progress: Progress, *, images: int = 900, n_queries: int, rerank: bool = True
) -> DemoResult:
    """Draw a catalog, index it, search it by image and sentence, rerank, and measure.

    A catalog and an index that are in the folder are used again; ``progress`` opens a progress bar by name.
    """
    with ImageSearcher(settings, COLUMNS) as searcher:
        if rerank:
            _ = searcher.reranker  # a missing model fails now, not after minutes of drawing
        with progress("drawing") as show:
            items = _catalog(folder / "catalog", images, show)
        with progress("indexing") as show:
            metadata = {item.file: _metadata(item) for item in items}
            indexed = searcher.index.add_folder(folder / "catalog", metadata=metadata, on_progress=show)
        shown = list(_example_queries(folder / "queries", items))
        searches: list[RankedImages] = []
        with progress("searching") as show:
            for query in shown:
                show(len(searches), len(shown))
                searches.append(searcher.search(query, top=TOP, rerank=rerank))
        with progress("measuring") as show:
            graded = list(_graded_searches(searcher, items, n_queries, rerank, show))
    figures = tuple(summarize(graded, depth=TOP, item="item"))
    note = f"{n_queries} queries of unseen seeds, {images} drawn images, top {TOP}"
    page = folder / "index.html"
    write_report(page, searches, title="mmrag demo", figures=figures, note=note)
    return DemoResult(
        indexed=indexed,
        searches=tuple(searches),
        figures=figures,
        timings_ms={stage: ms["p50"] for stage, ms in percentiles([f.timings_ms for f, _ in graded]).items()},
        page=page,
        sheets=tuple(_write_sheet(folder, number, found) for number, found in enumerate(searches, 1)),
    )


def _catalog(folder: Path, n: int, on_progress: OnProgress) -> list[Item]:
    planned = plan_catalog(n)
    if (folder / "catalog.jsonl").is_file() and read_catalog(folder) == planned:
        return planned
    return write_catalog(folder, n, on_progress=on_progress)


def _metadata(item: Item) -> dict[str, Scalar]:
    values = (item.id, item.title, item.product, item.pattern, item.color, item.price)
    return dict(zip(COLUMNS, values, strict=True))


def _example_queries(folder: Path, items: list[Item]) -> Iterator[Query]:
    """Yield one query of each kind, the swatch first; their images are written to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    leopard = folder / "leopard.jpg"
    draw_swatch("leopard", "tan", SEED).save(leopard, quality=92)
    yield Query("phone case with this", leopard)
    for query_type in list(QueryType)[1:]:
        query = queries(query_type, 1, SEED, catalog=items)[0]
        image, file = query.image(), folder / f"{query_type}.jpg"
        if image is not None:
            image.save(file, quality=92)
        yield Query(query.text, None if image is None else file)
    yield Query("mug with dinosaurs")  # the encoder's vocabulary has no dinosaurs


def _graded_searches(
    searcher: ImageSearcher, items: list[Item], n: int, rerank: bool, on_progress: OnProgress
) -> Iterator[tuple[RankedImages, Grades]]:
    """Search for n queries of all kinds; grade the whole catalog for each."""
    per_type = -(-n // len(QueryType))
    mixed = [query for each in QueryType for query in queries(each, per_type, SEED + 1, catalog=items)]
    for number, query in enumerate(random.Random(SEED).sample(mixed, n)):
        on_progress(number, n)
        found = searcher.search(Query(query.text, query.image()), top=TOP, rerank=rerank)
        grades = {item.id: query.target.grade(item.product, item.pattern, item.color) for item in items}
        released = found.model_copy(update={"calls": ()})  # their composites have a few megabytes per search
        yield released, {item: grade for item, grade in grades.items() if grade}


def _write_sheet(folder: Path, number: int, found: RankedImages) -> Path:
    file = folder / f"sheet-{number}.png"
    write_sheet(file, found)
    if found.calls:
        found.calls[-1].composite.save(folder / f"composite-{number}.png")
    return file
