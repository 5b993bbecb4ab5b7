"""How fast this machine is on an index. In: an open index. Out: images/s, and ms by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from mmrag.errors import StoreError
from mmrag.images import load_image
from mmrag.query import Query
from mmrag.results import Found
from mmrag.search import Searcher

__all__ = ["Timings", "measure"]

IMAGES = 32
RERANKED = 5  # every so many searches: a vision LLM takes a hundred times as long


@dataclass(frozen=True)
class Timings:
    """What was measured; of each stage the median and the slowest, in milliseconds."""

    model: str
    device: str
    stored: int
    images_per_second: float
    stages: dict[str, tuple[float, float]]


def measure(searcher: Searcher, repeats: int, rerank: bool, on_progress: Callable[[int, int], None]) -> Timings:
    """Encode a batch of indexed images, then search with each; one of five is reranked.

    Raises
    ------
    StoreError
        When the index is empty.
    """
    top = searcher.settings.top
    some = searcher.retrieve(Query("anything"), top=IMAGES)  # also warms up
    if not some.hits:
        raise StoreError(f"{searcher.settings.where} is empty: mmrag index FOLDER --into it first")
    images = [load_image(hit.image, searcher.policy) for hit in some.hits]
    batch = [images[number % len(images)] for number in range(IMAGES)]
    start = time.perf_counter()
    searcher.encoder.encode(batch)
    seconds = time.perf_counter() - start
    searches: list[Found] = []
    for number in range(repeats):
        query = Query(f"number {number}", images[number % len(images)])
        reranked = rerank and number % RERANKED == 0
        searches.append(searcher.search(query, top=top, rerank=reranked))
        on_progress(number + 1, repeats)
    return Timings(
        model=searcher.encoder.info.name,
        device=str(searcher.encoder.device),
        stored=searcher.index.vector_store.count(),
        images_per_second=IMAGES / seconds,
        stages=_stages(searches),
    )


def _stages(searches: Sequence[Found]) -> dict[str, tuple[float, float]]:
    times: dict[str, list[float]] = {}
    for found in searches:
        for name, ms in found.timings_ms.items():
            times.setdefault(name, []).append(ms)
    return {name: (median(values), max(values)) for name, values in times.items()}
