"""Two runs side by side. In: evaluations of the same queries. Out: what changed, query by query."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from mmrag.app.evaluation.result import BOTH, RERANKED, Evaluation
from mmrag.app.evaluation.scoring import Score, scores
from mmrag.errors import SettingError

__all__ = ["Change", "Comparison", "compare"]


class Change(BaseModel):
    """One figure of two runs, and their difference with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    measure: str
    way: str
    before: float
    now: float
    difference: Score

    @property
    def certain(self) -> bool:
        """Whether the interval of the difference leaves no room for none."""
        return self.difference.low > 0 or self.difference.high < 0


class Comparison(BaseModel):
    """What a run changed against an earlier one.

    Attributes
    ----------
    queries
        How many both runs answered; figures are of these alone.
    before, now
        The models of each, in words.
    changes
        Of the measures and ways of asking that both have.
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
        raise SettingError(
            f"the runs share no query ({now.data} and {before.data}): compare runs of one data set"
        )
    for one, other in pairs:
        if (one.text, one.grades) != (other.text, other.grades):
            raise SettingError(
                f"query {one.id!r} has another text or other answers in the two runs: "
                "compare runs of one data set"
            )
    first, second = (pair.values for pair in pairs[0])
    ways = [way for way in (BOTH, RERANKED) if way in first and way in second]
    measures = [measure for measure in first[BOTH] if measure in second[BOTH]]
    differences = scores(
        [
            (
                "all",
                {w: {m: one.values[w][m] - other.values[w][m] for m in measures} for w in ways},
            )
            for one, other in pairs
        ]
    )
    return Comparison(
        queries=len(pairs),
        before=in_words(before),
        now=in_words(now),
        changes=[
            Change(
                measure=score.measure,
                way=score.way,
                before=float(np.mean([o.values[score.way][score.measure] for _, o in pairs])),
                now=float(np.mean([o.values[score.way][score.measure] for o, _ in pairs])),
                difference=score,
            )
            for score in differences
            if score.kind == "all"
        ],
    )


def in_words(evaluation: Evaluation) -> str:
    """Name the models of a run."""
    return " + ".join(filter(None, [evaluation.model, evaluation.reranker]))
