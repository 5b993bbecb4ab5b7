"""Means over queries, with their uncertainty. In: values of each query. Out: scores, percentiles.

Intervals are percentile bootstraps: queries are drawn again, with replacement, always alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["ALL", "MEAN_OF_KINDS", "Score", "Values", "interval", "percentiles", "scores"]

ALL, MEAN_OF_KINDS = "all", "mean of kinds"

RESAMPLES = 1000
SEED = 20_261_124
CONFIDENCE = 0.95

Values = Mapping[str, Mapping[str, float]]
"""Of one query: by way of asking, by measure."""

Matrix = NDArray[np.float64]


class Score(BaseModel):
    """A measure's mean over the queries of a kind, and its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    kind: str
    way: str
    measure: str
    queries: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"


def scores(queries: Sequence[tuple[str, Values]]) -> list[Score]:
    """Average queries over all, by kind, and over the kinds' means.

    Parameters
    ----------
    queries
        Of each its kind and its values; all have the same ways and measures.

    Examples
    --------
    >>> told = scores([("mug", {"both": {"MRR": 1.0}}), ("lamp", {"both": {"MRR": 0.5}})])
    >>> [(score.kind, score.value) for score in told]
    [('all', 0.75), ('mug', 1.0), ('lamp', 0.5), ('mean of kinds', 0.75)]
    """
    if not queries:
        return []
    columns = [(way, measure) for way, values in queries[0][1].items() for measure in values]
    by_kind: dict[str, list[list[float]]] = {}
    for kind, values in queries:
        by_kind.setdefault(kind, []).append([values[way][measure] for way, measure in columns])
    kinds = {kind: np.array(rows) for kind, rows in by_kind.items()}  # (queries, columns)
    groups = {ALL: [np.concatenate(list(kinds.values()))]}
    groups |= {kind: [matrix] for kind, matrix in kinds.items()}
    if len(kinds) > 1:
        groups[MEAN_OF_KINDS] = list(kinds.values())
    return [
        Score(kind=kind, way=way, measure=measure, queries=n, value=value, low=low, high=high)
        for kind, matrices in groups.items()
        for n in [sum(map(len, matrices))]
        for (way, measure), (value, low, high) in zip(columns, interval(matrices), strict=True)
    ]


def interval(groups: Sequence[Matrix]) -> list[tuple[float, float, float]]:
    """Average columns within groups, then over groups; each with the ends of its interval.

    Parameters
    ----------
    groups
        Matrices (queries, columns) with the same columns; queries are drawn again in each group.

    Examples
    --------
    >>> value, low, high = interval([np.array([[0.0], [1.0], [1.0], [1.0]])])[0]
    >>> value, low < value < high
    (0.75, True)
    """
    dice = np.random.default_rng(SEED)
    value = np.mean([group.mean(axis=0) for group in groups], axis=0)  # (columns,)
    drawn = np.mean([_drawn(group, dice) for group in groups], axis=0)  # (resamples, columns)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)  # (columns,)
    return list(zip(value.tolist(), low.tolist(), high.tolist(), strict=True))


def percentiles(times: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Tell p50, p90 and p99 of each stage, over those that went through it.

    Examples
    --------
    >>> percentiles([{"encode": 1.0}, {"encode": 3.0, "rank": 9.0}])["encode"]["p50"]
    2.0
    """
    stages = dict.fromkeys(stage for query in times for stage in query)
    return {
        stage: {f"p{p}": float(np.percentile([q[stage] for q in times if stage in q], p)) for p in (50, 90, 99)}
        for stage in stages
    }


def _drawn(group: Matrix, dice: np.random.Generator) -> Matrix:
    n = len(group)
    # How often a query is drawn says as much as which are drawn, in far less memory.
    counts = dice.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)  # (resamples, n)
    return counts @ group / n
