"""`mmrag bench`: images/s of the encoder and latency of each search stage, on this machine and index."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import print_table, progress, stdout_console, write_json
from mmrag.cli.options import Database, Json, Rerank, SearchOptions
from mmrag.errors import StoreError

if TYPE_CHECKING:
    from mmrag.search import ImageSearcher

__all__ = ["Timings", "bench", "measure"]

BATCH = 32
RERANK_EVERY = 5  # searches: a vision LLM takes a hundred times as long


@dataclass(frozen=True)
class Timings:
    """Throughput of the encoder, and median and maximum milliseconds of each stage."""

    model: str
    device: str
    stored: int
    images_per_second: float
    stages: dict[str, tuple[float, float]]


def bench(
    db: Database = None,
    rerank: Rerank = True,
    repeats: Annotated[int, typer.Option(min=1, help="Searches to time; a fifth reranks.")] = 25,
    as_json: Json = False,
    **options: Unpack[SearchOptions],
) -> None:
    """Time encoder, search and reranking with the images of an index.

    Example: mmrag bench --db shop.db --no-rerank
    """
    from mmrag.search import ImageSearcher
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **options)
    with ImageSearcher.open(settings) as searcher, progress("timing") as show:
        timings = measure(searcher, repeats, rerank, show)
    if as_json:
        write_json(asdict(timings))
        return
    stdout_console().print(f"{timings.stored} images, {timings.model} on {timings.device}")
    stdout_console().print(f"encoder: {timings.images_per_second:.1f} images/s")
    rows = [[stage, f"{median:.1f}", f"{slowest:.1f}"] for stage, (median, slowest) in timings.stages.items()]
    print_table(["stage", "median ms", "slowest ms"], rows)


def measure(searcher: ImageSearcher, repeats: int, rerank: bool, on_progress: Callable[[int, int], None]) -> Timings:
    """Encode a batch of indexed images, then search with each; every fifth search reranks.

    Raises `StoreError` if the index is empty.
    """
    from mmrag.images import load_image
    from mmrag.query import Query

    warm_up = searcher.retrieve(Query("anything"), top=BATCH)
    if not warm_up.results:
        raise StoreError(f"{searcher.settings.where} is empty: mmrag index FOLDER --into it first")
    images = [load_image(image.path, searcher.policy) for image in warm_up.results]
    batch = [images[number % len(images)] for number in range(BATCH)]
    start = time.perf_counter()
    searcher.encoder.encode(batch)
    seconds = time.perf_counter() - start
    times: dict[str, list[float]] = {}
    for number in range(repeats):
        query = Query(f"number {number}", images[number % len(images)])
        found = searcher.search(query, top=searcher.settings.top, rerank=rerank and number % RERANK_EVERY == 0)
        for stage, ms in found.timings_ms.items():
            times.setdefault(stage, []).append(ms)
        on_progress(number + 1, repeats)
    return Timings(
        model=searcher.encoder.info.name,
        device=str(getattr(searcher.encoder, "device", "remote")),
        stored=searcher.index.vector_store.count(),
        images_per_second=BATCH / seconds,
        stages={stage: (median(values), max(values)) for stage, values in times.items()},
    )
