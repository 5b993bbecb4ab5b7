"""Tables of the encoder's and the reranker's metrics, with controls."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from examples.train_demo_models.benchmark import (
    TOP,
    Benchmark,
    Rankings,
    color_rankings,
    encoder_rankings,
    make_benchmark,
)
from examples.train_demo_models.encoder import new_encoder
from examples.train_demo_models.reranker import RANKING_CONFIG, new_reranker
from examples.train_demo_models.vocabulary import compound
from mmrag.datasets import Item
from mmrag.embedding import VisualizedBGE
from mmrag.evaluation.metrics import mean_interval
from mmrag.query import Query
from mmrag.rerank import ListwiseReranker
from mmrag.vision import Phi3Vision
from mmrag.vision.base import VisionLLM

__all__ = ["Change", "Reranking", "changes", "report_encoder", "report_reranker", "rerank"]

logger = logging.getLogger(__name__)

_METRICS = ("hit@1", f"hit@{TOP}", f"nDCG@{TOP}")
_CONTROL_QUERIES = 200


@dataclass(frozen=True)
class Reranking:
    """Rankings before and after, and whether each reason names the first item's color, pattern and product."""

    before: Rankings
    after: Rankings
    truthful: dict[str, bool]


@dataclass(frozen=True)
class Change:
    """Mean of a metric before and after, and the 95 % interval of the difference."""

    before: float
    after: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f"[{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.before:.3f} -> {self.after:.3f}, {self.after - self.before:+.3f} {interval}"


def report_encoder(work: Path, folder: Path) -> None:
    """Log the encoder's metrics: composed, by halves, and of random weights and color histograms."""
    benchmark = make_benchmark(work / "encoder-benchmark", seed=7001)
    encoder = VisualizedBGE.from_pretrained(folder)
    untrained = VisualizedBGE(*new_encoder(1), name="untrained")
    modes = encoder_rankings(benchmark, encoder, halves=True)
    modes["color histogram"] = color_rankings(benchmark)
    modes["random weights"] = encoder_rankings(benchmark, untrained)["composed"]
    row = "%-16s %-16s %4s   %-6s %-6s %-6s"
    logger.info(row, "search by", "queries", "n", *_METRICS)
    for mode, rankings in modes.items():
        metrics = benchmark.metrics(rankings)
        for part, ids in benchmark.parts().items():
            if mode == "composed" or part == "all":
                means = (np.mean([metrics[id][name] for id in ids]) for name in _METRICS)
                logger.info(row, mode, part, len(ids), *(f"{mean:.3f}" for mean in means))


def report_reranker(work: Path, encoder_folder: Path, folder: Path) -> None:
    """Log the change by the reranker, and by controls on some of the queries."""
    benchmark = make_benchmark(work / "reranker-benchmark", queries_per_type=100, seed=7002)
    retrieved = encoder_rankings(benchmark, VisualizedBGE.from_pretrained(encoder_folder))["composed"]
    vlm = Phi3Vision.from_pretrained(folder)
    reranking = rerank(benchmark, retrieved, vlm)
    _log_changes("retrieval order", benchmark, reranking)
    logger.info("reasons that are true of the best image: %.3f", np.mean(list(reranking.truthful.values())))
    few = benchmark.subset(np.linspace(0, len(benchmark.queries) - 1, _CONTROL_QUERIES).astype(int).tolist())
    _log_changes("the same queries", few, reranking)
    _log_changes("random order", few, rerank(few, retrieved, vlm, shuffle=True))
    _log_changes("images moved by 4", few, rerank(few, retrieved, vlm, moved=4))
    _log_changes("random weights", few, rerank(few, retrieved, Phi3Vision(*new_reranker(1), RANKING_CONFIG)))


def rerank(
    benchmark: Benchmark, retrieved: Rankings, vlm: VisionLLM, *, shuffle: bool = False, moved: int = 0
) -> Reranking:
    """Rerank the first 9 items of each query.

    Parameters
    ----------
    retrieved : Rankings
        The rankings before.
    shuffle : bool, optional
        Show the candidates in random order. Default: False.
    moved : int, optional
        Show each candidate's image this many positions further, as a control: the metrics of a
        reranker that looks must collapse. Default: 0.
    """
    reranker = ListwiseReranker(vlm, window=TOP)
    items = {item.id: item for item in benchmark.items}
    files = dict(zip(items, benchmark.gallery, strict=True))
    after: dict[str, list[str]] = {}
    truthful: dict[str, bool] = {}
    for number, query in enumerate(benchmark.queries):
        listed = list(retrieved[query.id])
        if shuffle:
            np.random.default_rng(number).shuffle(listed)
        shown = [files[listed[(place - moved) % len(listed)]] for place in range(len(listed))]
        ranking = reranker.rerank(Query(query.text, benchmark.image(query)), shown).ranking
        after[query.id] = [listed[label - 1] for label in ranking.order]
        truthful[query.id] = _is_true(ranking.reason, items[after[query.id][0]])
    return Reranking(retrieved, after, truthful)


def changes(benchmark: Benchmark, reranking: Reranking, metric: str) -> dict[str, Change]:
    """Compare a metric before and after, for all queries and for each part of them."""
    before, after = benchmark.metrics(reranking.before), benchmark.metrics(reranking.after)
    table: dict[str, Change] = {}
    for part, ids in benchmark.parts().items():
        pairs = np.array([(before[id][metric], after[id][metric]) for id in ids])  # (queries, 2)
        ((_, low, high),) = mean_interval([pairs[:, 1:] - pairs[:, :1]])
        table[part] = Change(float(pairs[:, 0].mean()), float(pairs[:, 1].mean()), low, high)
    return table


def _log_changes(name: str, benchmark: Benchmark, reranking: Reranking) -> None:
    for metric in ("hit@1", f"nDCG@{TOP}"):
        for part, change in changes(benchmark, reranking, metric).items():
            logger.info("%-18s %-16s %-7s %s", name, part, metric, change)


def _is_true(reason: str, item: Item) -> bool:
    words = reason.split()
    return all(compound(name) in words for name in (item.color, item.pattern, item.product))
