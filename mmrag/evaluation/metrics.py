"""Retrieval metrics by ir-measures, their means with bootstrap intervals, and latency percentiles."""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# ir-measures and scipy have no types.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

import ir_measures
import numpy as np
from ir_measures import AP, RR, R, Success, nDCG
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import bootstrap

from mmrag.reports.html import Figure
from mmrag.results import RankedImages

__all__ = [
    "ALL",
    "Grades",
    "Metrics",
    "Score",
    "average",
    "compute_metrics",
    "mean_interval",
    "percentiles",
    "summarize",
]

ALL, MEAN_OF_KINDS = "all", "mean of kinds"
EXACT = 2
RESAMPLES = 1000
SEED = 20_261_124
BATCH = 2**24  # resampled values in memory at a time

Grades = Mapping[str, int]
"""Grade of each relevant item of a query; items that are not listed have grade 0."""
Metrics = Mapping[str, Mapping[str, float]]
"""Values of one query: by query mode, by metric."""


def compute_metrics(
    rankings: Mapping[str, Sequence[str]],
    qrels: Mapping[str, Grades],
    cutoffs: Iterable[int],
    *,
    relevant: int = 1,
    exact: int = 1,
) -> dict[str, dict[str, float]]:
    """Compute hit@k, recall@k, nDCG@k and mAP@k for each cutoff k, and MRR, of each query in ``qrels``.

    Rankings are best first; a query without one scores 0. ``relevant`` is the least grade that counts for recall and
    mAP, ``exact`` the least that counts for hit@k and MRR.

    >>> values = compute_metrics({"q": ["a", "b"]}, {"q": {"b": 1}}, [1, 2])["q"]
    >>> values["hit@1"], values["hit@2"], values["MRR"], values["mAP@2"]
    (0.0, 1.0, 0.5, 0.5)
    """
    measures: dict[Any, str] = {RR(rel=exact): "MRR"}
    for k in cutoffs:
        measures |= {
            Success(rel=exact) @ k: f"hit@{k}",
            R(rel=relevant) @ k: f"recall@{k}",
            nDCG @ k: f"nDCG@{k}",
            AP(rel=relevant) @ k: f"mAP@{k}",
        }
    values = {query: dict.fromkeys(measures.values(), 0.0) for query in qrels}
    # ir-measures sorts by score and breaks ties in its own order: every rank gets its own score.
    run = {q: {item: -float(rank) for rank, item in enumerate(rankings[q])} for q in qrels if q in rankings}
    for value in ir_measures.iter_calc(list(measures), {query: dict(grades) for query, grades in qrels.items()}, run):
        values[value.query_id][measures[value.measure]] = float(value.value)
    return values


def summarize(searches: Sequence[tuple[RankedImages, Grades]], *, depth: int, item: str) -> list[Figure]:
    """Average hit@1, hit@depth and nDCG@depth of results with the grades of their query, before and after reranking.

    Grade 2 is a hit, grade 1 counts for nDCG only; ``item`` is the metadata field that the grades name images by.
    """
    qrels = {str(number): grades for number, (_, grades) in enumerate(searches)}

    def means(rankings: Iterable[Sequence[str]]) -> dict[str, float]:
        run = {str(number): items for number, items in enumerate(rankings)}
        values = compute_metrics(run, qrels, (1, depth), exact=EXACT).values()
        return {name: fmean(each[name] for each in values) for name in ("hit@1", f"hit@{depth}", f"nDCG@{depth}")}

    before = means([str(image.metadata[item]) for image in found.retrieved] for found, _ in searches)
    reranked = any(found.stage == "reranked" for found, _ in searches)
    after = means([str(image.metadata[item]) for image in found.results] for found, _ in searches) if reranked else {}
    return [Figure(name, value, after.get(name)) for name, value in before.items()]


class Score(BaseModel, frozen=True):
    """Mean of a metric over the queries of a kind, with its 95 % interval."""

    kind: str
    mode: str
    metric: str
    queries: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def average(queries: Sequence[tuple[str, Metrics]]) -> list[Score]:
    """Average the metrics over all queries, by kind, and over the means of the kinds.

    Each query is given by its kind and its metrics; all have the same modes and metrics.

    >>> scores = average([("mug", {"composed": {"MRR": 1.0}}), ("lamp", {"composed": {"MRR": 0.5}})])
    >>> [(score.kind, score.value) for score in scores]
    [('all', 0.75), ('mug', 1.0), ('lamp', 0.5), ('mean of kinds', 0.75)]
    """
    if not queries:
        return []
    columns = [(mode, metric) for mode, values in queries[0][1].items() for metric in values]
    rows: dict[str, list[list[float]]] = {}
    for kind, values in queries:
        rows.setdefault(kind, []).append([values[mode][metric] for mode, metric in columns])
    by_kind = {kind: np.array(values) for kind, values in rows.items()}  # (queries, columns)
    groups = {ALL: [np.concatenate(list(by_kind.values()))]} | {kind: [rows] for kind, rows in by_kind.items()}
    if len(by_kind) > 1:
        groups[MEAN_OF_KINDS] = list(by_kind.values())
    return [
        Score(kind=kind, mode=mode, metric=metric, queries=sum(map(len, samples)), value=value, low=low, high=high)
        for kind, samples in groups.items()
        for (mode, metric), (value, low, high) in zip(columns, mean_interval(samples), strict=True)
    ]


def mean_interval(groups: Sequence[NDArray[np.float64]]) -> list[tuple[float, float, float]]:
    """Average columns within each group, then over the groups; return (mean, low, high) of each column.

    Groups are (queries, columns). The 95 % intervals are percentiles of a bootstrap with a fixed seed: queries are
    resampled within each group, all columns together.
    """
    # scipy wants two rows or more; the mean of one row given twice varies no more than that of one.
    samples = [np.repeat(group, 2, axis=0) if len(group) == 1 else group for group in groups]
    batch = max(1, BATCH // max(sample.size for sample in samples))
    resampled = bootstrap(samples, _mean_of_means, n_resamples=RESAMPLES, batch=batch, method="percentile", rng=SEED)
    interval = resampled.confidence_interval
    means = _mean_of_means(*groups, axis=0)
    return list(zip(means.tolist(), interval.low.tolist(), interval.high.tolist(), strict=True))


def _mean_of_means(*groups: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.mean([group.mean(axis=axis) for group in groups], axis=0)


def percentiles(timings: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Compute p50, p90 and p99 of each stage over the queries that went through it."""
    by_stage = {stage: [ms[stage] for ms in timings if stage in ms] for stage in dict.fromkeys(chain(*timings))}
    return {stage: {f"p{p}": float(np.percentile(ms, p)) for p in (50, 90, 99)} for stage, ms in by_stage.items()}
