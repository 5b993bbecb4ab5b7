"""Results of an evaluation, which are written to JSON and read back unchanged."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from mmrag.errors import SettingError
from mmrag.evaluation.metrics import ALL, Metrics, Score, average, percentiles

__all__ = [
    "COMPOSED",
    "IMAGE_ONLY",
    "RERANKED",
    "RERANK_GAIN",
    "TEXT_ONLY",
    "AnswerStats",
    "Evaluation",
    "ImageInfo",
    "QueryResult",
]

TEXT_ONLY, IMAGE_ONLY, COMPOSED, RERANKED = "text only", "image only", "composed", "reranked"
RERANK_GAIN = "gain"
"""Mode of the differences between `RERANKED` and `COMPOSED`, query by query."""


class ImageInfo(BaseModel):
    """Path or URL of an indexed image, and its title."""

    model_config = ConfigDict(frozen=True)

    path: str
    title: str


class QueryResult(BaseModel):
    """Rankings, metrics and timings of one query.

    Attributes
    ----------
    id, kind, text, image
        Of the `EvalQuery`.
    grades : dict of str to int
        Grade of each relevant image by name.
    rankings : dict of str to list of str
        Names of images, best first, by mode: `TEXT_ONLY`, `IMAGE_ONLY`, `COMPOSED` (text and image), `RERANKED`.
    similarities : list of float
        Retrieval scores of the first images of `COMPOSED`, those that are reranked.
    metrics : dict of str to dict of str to float
        Value of each metric, by mode.
    timings_ms : dict of str to float
        Milliseconds of each stage of `COMPOSED` and `RERANKED`.
    calls, malformed, failed : int
        Answers of the vision LLM that were parsed, those of them that were repaired, and calls without an answer.
    repairs : list of str
        One message per repair of the ranking.
    reason : str
        The vision LLM's reason for the first image.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    text: str
    image: str | None
    grades: dict[str, int]
    rankings: dict[str, list[str]]
    similarities: list[float]
    metrics: dict[str, dict[str, float]]
    timings_ms: dict[str, float]
    calls: int = 0
    malformed: int = 0
    failed: int = 0
    repairs: list[str] = Field(default_factory=list[str])
    reason: str = ""


class AnswerStats(BaseModel):
    """Statistics of the vision LLM's answers.

    Attributes
    ----------
    calls : int
        Number of calls.
    malformed : float
        Share of the calls whose answer was incomplete or malformed, and was repaired.
    failed : float
        Share of the calls without an answer that can be parsed; retrieval order was kept.
    repaired : float
        Share of the queries whose ranking was repaired.
    """

    model_config = ConfigDict(frozen=True)

    calls: int
    malformed: float
    failed: float
    repaired: float


class Evaluation(BaseModel):
    """Evaluation of an index, an encoder and a vision LLM on a data set.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    num_images : int
        Number of indexed images.
    model, reranker : str
        Encoder and vision LLM; ``reranker`` is None without reranking.
    depth, top : int
        Number of retrieved images, and number of those that are reranked.
    results : list of QueryResult
        One per query.
    images : dict of str to ImageInfo
        The images in ``results`` by name.
    missing : list of str
        Relevant images that are not in the index.
    skipped : dict of str to str
        Queries whose image cannot be read, with the reason.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    num_images: int
    model: str
    reranker: str | None
    depth: int
    top: int
    results: list[QueryResult] = Field(repr=False)
    images: dict[str, ImageInfo] = Field(repr=False)
    missing: list[str]
    skipped: dict[str, str]

    @computed_field(repr=False)
    @cached_property
    def scores(self) -> list[Score]:
        """Mean of each metric by kind and mode (`RERANK_GAIN` is a mode too), with its 95 % interval."""
        return average([(result.kind, _with_gain(result.metrics)) for result in self.results])

    @computed_field(repr=False)
    @cached_property
    def latencies(self) -> dict[str, dict[str, float]]:
        """Milliseconds of each stage: p50, p90 and p99 over the queries."""
        return percentiles([result.timings_ms for result in self.results])

    @computed_field(repr=False)
    @cached_property
    def answers(self) -> AnswerStats | None:
        """Statistics of the vision LLM's answers; None without reranking."""
        calls = sum(result.calls + result.failed for result in self.results)
        if not calls:
            return None
        return AnswerStats(
            calls=calls,
            malformed=sum(result.malformed for result in self.results) / calls,
            failed=sum(result.failed for result in self.results) / calls,
            repaired=float(np.mean([bool(result.repairs) for result in self.results])),
        )

    @property
    def final_mode(self) -> str:
        """`RERANKED`, or `COMPOSED` without reranking."""
        return RERANKED if self.reranker else COMPOSED

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        return list(dict.fromkeys(score.metric for score in self.scores))

    @property
    def main_metric(self) -> str:
        """Name of the metric that queries are sorted by: nDCG at the largest cutoff."""
        return [metric for metric in self.metrics if metric.startswith("nDCG@")][-1]

    @property
    def model_names(self) -> str:
        """Names of encoder and vision LLM in one string."""
        return " + ".join(filter(None, [self.model, self.reranker]))

    def score(self, metric: str, mode: str | None = None, kind: str = ALL) -> Score:
        """Return the mean of a metric; ``mode`` defaults to `final_mode`.

        Raises
        ------
        SettingError
            If there is no such score.
        """
        mode = mode or self.final_mode
        for score in self.scores:
            if (score.kind, score.mode, score.metric) == (kind, mode, metric):
                return score
        raise SettingError(f"no score {metric!r} of {kind!r}, {mode!r}: metrics are {', '.join(self.metrics)}")

    def worst(self, n: int = 12) -> list[QueryResult]:
        """Return the n queries with the lowest `main_metric`, worst first."""
        metric, mode = self.main_metric, self.final_mode
        return sorted(self.results, key=lambda result: (result.metrics[mode][metric], result.id))[:n]

    def save(self, file: Path) -> None:
        """Write the evaluation as JSON; creates the folder."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=2), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Evaluation:
        """Read what `save` or ``mmrag eval --json`` wrote.

        Raises
        ------
        SettingError
            If the file is no evaluation.
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


def _with_gain(metrics: Metrics) -> Metrics:
    if RERANKED not in metrics:
        return metrics
    before = metrics[COMPOSED]
    return {**metrics, RERANK_GAIN: {name: value - before[name] for name, value in metrics[RERANKED].items()}}
