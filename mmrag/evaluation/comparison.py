"""Comparison of two evaluations of the same queries, with paired intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrag.errors import SettingError
from mmrag.evaluation.evaluation import Evaluation
from mmrag.evaluation.metrics import mean_interval
from mmrag.evaluation.result import COMPOSED, MetricChange, QueryResult, ResultComparison

__all__ = ["compare"]


def compare(now: Evaluation, before: Evaluation) -> ResultComparison:
    """Compare two evaluations over the queries that both contain; raises `SettingError` if they share none.

    Differences are paired by query, so their intervals are narrower than those of either evaluation.
    """
    earlier = {result.id: result for result in before.results}
    pairs = [(earlier[result.id], result) for result in now.results if result.id in earlier]
    if not pairs:
        raise SettingError(
            f"the runs share no query ({now.dataset} and {before.dataset}): compare runs of one data set"
        )
    for old, new in pairs:
        if (old.text, old.grades) != (new.text, new.grades):
            raise SettingError(
                f"query {new.id!r} has another text or other grades in the two runs: compare runs of one data set"
            )
    modes = dict.fromkeys([(COMPOSED, COMPOSED), (before.final_mode, now.final_mode)])
    return ResultComparison(
        queries=len(pairs),
        before=before.model_names,
        now=now.model_names,
        changes=[change for old, new in modes for change in _changes(pairs, old, new)],
    )


def _changes(pairs: Sequence[tuple[QueryResult, QueryResult]], before: str, now: str) -> list[MetricChange]:
    old, new = pairs[0]
    metrics = [metric for metric in new.metrics[COMPOSED] if metric in old.metrics[COMPOSED]]
    earlier = np.array([[old.metrics[before][metric] for metric in metrics] for old, _ in pairs])  # (queries, metrics)
    later = np.array([[new.metrics[now][metric] for metric in metrics] for _, new in pairs])
    mode = now if now == before else f"{before} → {now}"
    rows = zip(metrics, earlier.mean(axis=0), later.mean(axis=0), mean_interval([later - earlier]), strict=True)
    return [
        MetricChange(metric=metric, mode=mode, before=first, now=second, difference=change, low=low, high=high)
        for metric, first, second, (change, low, high) in rows
    ]
