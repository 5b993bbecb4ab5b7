"""What an evaluation found: a noun that goes through JSON and back unchanged."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from mmrag.errors import SettingError
from mmrag.evaluation.scoring import Score, Values, percentiles, scores

__all__ = ["BOTH", "GAIN", "IMAGE_ONLY", "RERANKED", "TEXT_ONLY", "Answers", "Evaluation", "Outcome", "Shown"]

TEXT_ONLY, IMAGE_ONLY, BOTH, RERANKED = "text only", "image only", "both", "reranked"
GAIN = "gain"
"""What reranking added, query by query: it stands among the ways of asking."""


class Shown(BaseModel):
    """An image of the index: where it is, and what people call it."""

    model_config = ConfigDict(frozen=True)

    image: str
    title: str


class Outcome(BaseModel):
    """One query: what was asked, what came, and how good that was.

    Attributes
    ----------
    grades
        Of the right answers, by name.
    rankings
        Names of images, best first, by the way of asking: `TEXT_ONLY`, `IMAGE_ONLY`, `BOTH`
        (the query as it is), `RERANKED`.
    similarities
        Of the first images of `BOTH`, those that the vision LLM put in order.
    values
        Each measure's value, by the way of asking.
    milliseconds
        What each stage of `BOTH` and `RERANKED` took.
    answers, malformed, failed
        How many answers of the vision LLM could be read, how many of those had to be mended, and
        how often there was none, so that retrieval order was kept.
    repairs
        What was mended, in words.
    reason
        Why the first one is best, in the vision LLM's words.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    text: str
    image: str | None
    grades: dict[str, int]
    rankings: dict[str, list[str]]
    similarities: list[float]
    values: dict[str, dict[str, float]]
    milliseconds: dict[str, float]
    answers: int = 0
    malformed: int = 0
    failed: int = 0
    repairs: list[str] = Field(default_factory=list[str])
    reason: str = ""


class Answers(BaseModel):
    """How well the vision LLM kept to the form.

    Attributes
    ----------
    asked
        How often it was asked.
    malformed
        Share of these times that its answer was incomplete or out of form, and was mended.
    failed
        Share of these times that it gave no answer, or none that can be read: order was kept.
    repaired
        Share of the queries whose ranking needed any repair.
    """

    model_config = ConfigDict(frozen=True)

    asked: int
    malformed: float
    failed: float
    repaired: float


class Evaluation(BaseModel):
    """How good an index, an encoder and a vision LLM are on judged queries.

    Attributes
    ----------
    data, stored
        Name of the judged queries, and how many images were searched.
    model, reranker
        The encoder and the vision LLM; None when that was not asked.
    depth, top
        How many images were retrieved, and how many of them people see: those are what the
        vision LLM puts in order.
    outcomes
        Query by query.
    images
        What `outcomes` name.
    missing
        Right answers that the index does not hold: nothing can find them.
    unread
        Queries left out because their image cannot be read, each with the reason.
    """

    model_config = ConfigDict(frozen=True)

    data: str
    stored: int
    model: str
    reranker: str | None
    depth: int
    top: int
    outcomes: list[Outcome] = Field(repr=False)
    images: dict[str, Shown] = Field(repr=False)
    missing: list[str]
    unread: dict[str, str]

    @computed_field(repr=False)
    @cached_property
    def scores(self) -> list[Score]:
        """Each measure by kind and way of asking, with a 95 % interval; `GAIN` is a way, too."""
        return scores([(outcome.kind, _with_gain(outcome.values)) for outcome in self.outcomes])

    @computed_field(repr=False)
    @cached_property
    def latencies(self) -> dict[str, dict[str, float]]:
        """Milliseconds of each stage: p50, p90 and p99 over the queries."""
        return percentiles([outcome.milliseconds for outcome in self.outcomes])

    @computed_field(repr=False)
    @cached_property
    def answers(self) -> Answers | None:
        """How well the vision LLM kept to the form; None when it was not asked."""
        asked = sum(o.answers + o.failed for o in self.outcomes)
        if not asked:
            return None
        return Answers(
            asked=asked,
            malformed=sum(o.malformed for o in self.outcomes) / asked,
            failed=sum(o.failed for o in self.outcomes) / asked,
            repaired=float(np.mean([bool(o.repairs) for o in self.outcomes])),
        )

    @property
    def final(self) -> str:
        """The way of asking that a user meets."""
        return RERANKED if self.reranker else BOTH

    @property
    def measures(self) -> list[str]:
        """What was measured."""
        return list(dict.fromkeys(score.measure for score in self.scores))

    @property
    def deepest(self) -> str:
        """The measure that sees most: nDCG at the last cutoff."""
        return [measure for measure in self.measures if measure.startswith("nDCG@")][-1]

    def score(self, measure: str, way: str | None = None, kind: str = "all") -> Score:
        """Look one figure up; ``way`` is the final one when None.

        Raises
        ------
        SettingError
            When there is no such figure.
        """
        way = way or self.final
        wanted = (kind, way, measure)
        for score in self.scores:
            if (score.kind, score.way, score.measure) == wanted:
                return score
        raise SettingError(f"no figure {measure!r} of {kind!r}, {way!r}: measures are {', '.join(self.measures)}")

    def worst(self, n: int = 12) -> list[Outcome]:
        """Pick the queries that were answered worst, first the worst."""
        measure, final = self.deepest, self.final
        return sorted(self.outcomes, key=lambda o: (o.values[final][measure], o.id))[:n]

    def save(self, file: Path) -> None:
        """Write the evaluation as JSON, in a folder that is made when missing."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=2), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Evaluation:
        """Read what `save`, or ``mmrag eval --json``, wrote.

        Raises
        ------
        SettingError
            When the file is no evaluation.
        """
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            fault = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise SettingError(
                f"{file} is no evaluation ({fault}). Write one: mmrag eval … --json > earlier.json"
            ) from error

    def _repr_html_(self) -> str:
        from mmrag.evaluation.report import evaluation_cell

        return evaluation_cell(self)


def _with_gain(values: Values) -> Values:
    if RERANKED not in values:
        return values
    before = values[BOTH]
    return {**values, GAIN: {m: after - before[m] for m, after in values[RERANKED].items()}}
