"""Two runs side by side. In: evaluations of the same queries. Out: what changed, query by query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from mmrag.errors import SettingError
from mmrag.evaluation.result import BOTH, Evaluation, Outcome
from mmrag.evaluation.scoring import interval

__all__ = ["Change", "Comparison", "compare"]


class Change(BaseModel):
    """One figure of two runs, and their difference with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    measure: str
    way: str
    before: float
    now: float
    difference: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval of the difference leaves no room for none."""
        return self.low > 0 or self.high < 0


class Comparison(BaseModel):
    """What a run changed against an earlier one.

    Attributes
    ----------
    queries
        How many both runs answered; figures are of these alone.
    before, now
        The models of each, in words.
    changes
        Of queries as they are, and of what users met, where that was reranked.
    """

    model_config = ConfigDict(frozen=True)

    queries: int
    before: str
    now: str
    changes: list[Change]


def compare(now: Evaluation, before: Evaluation) -> Comparison:
    """Set two runs side by side, over the queries that both answered.

    Differences are taken query by query: their intervals are narrower than those of either run.

    Raises
    ------
    SettingError
        When the runs share no query, or one query has other answers.
    """
    earlier = {outcome.id: outcome for outcome in before.outcomes}
    pairs = [(o, earlier[o.id]) for o in now.outcomes if o.id in earlier]
    if not pairs:
        raise SettingError(f"the runs share no query ({now.data} and {before.data}): compare runs of one data set")
    for one, other in pairs:
        if (one.text, one.grades) != (other.text, other.grades):
            raise SettingError(
                f"query {one.id!r} has another text or other answers in the two runs: compare runs of one data set"
            )
    measures = [m for m in pairs[0][0].values[BOTH] if m in pairs[0][1].values[BOTH]]
    return Comparison(
        queries=len(pairs),
        before=in_words(before),
        now=in_words(now),
        changes=[
            change
            for ways in dict.fromkeys([(BOTH, BOTH), (before.final, now.final)])
            for change in _changes(pairs, measures, *ways)
        ],
    )


def _changes(pairs: Sequence[tuple[Outcome, Outcome]], measures: Sequence[str], before: str, now: str) -> list[Change]:
    """Set what one way of asking gave before beside what one gives now."""
    earlier = np.array([[other.values[before][m] for m in measures] for _, other in pairs])
    later = np.array([[one.values[now][m] for m in measures] for one, _ in pairs])
    return [
        Change(
            measure=measure,
            way=now if now == before else f"{before} → {now}",
            before=first,
            now=second,
            difference=second - first,
            low=low,
            high=high,
        )
        for measure, first, second, (_, low, high) in zip(
            measures,
            earlier.mean(axis=0).tolist(),
            later.mean(axis=0).tolist(),
            interval([later - earlier]),
            strict=True,
        )
    ]


def in_words(evaluation: Evaluation) -> str:
    """Name the models of a run."""
    return " + ".join(filter(None, [evaluation.model, evaluation.reranker]))
