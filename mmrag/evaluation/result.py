"""Results of the queries of an evaluation, and of a comparison of two evaluations."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = [
    "COMPOSED",
    "IMAGE_ONLY",
    "RERANKED",
    "RERANK_GAIN",
    "TEXT_ONLY",
    "ImageInfo",
    "MetricChange",
    "QueryResult",
    "ResultComparison",
]

TEXT_ONLY, IMAGE_ONLY, COMPOSED, RERANKED = "text only", "image only", "composed", "reranked"
RERANK_GAIN = "gain"
"""Mode of the differences between `RERANKED` and `COMPOSED`, query by query."""


class ImageInfo(BaseModel, frozen=True):
    """Path or URL of an indexed image, and its title."""

    path: str
    title: str


class QueryResult(BaseModel, frozen=True):
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


class MetricChange(BaseModel, frozen=True):
    """A metric before and now, and the difference with its 95 % interval."""

    metric: str
    mode: str
    before: float
    now: float
    difference: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.low > 0 or self.high < 0


class ResultComparison(BaseModel, frozen=True):
    """Models of two evaluations, and the differences over the queries in both: of composed and of final rankings."""

    queries: int
    before: str
    now: str
    changes: list[MetricChange]
