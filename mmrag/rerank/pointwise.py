"""Pointwise reranking: a model scores each candidate for the query by itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Protocol

import PIL.Image

from mmrag.errors import AnswerError, SettingError
from mmrag.images import ImagePolicy
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank.base import ImageReranker, OnFailure, RerankRun
from mmrag.rerank.result import measure

__all__ = ["PointwiseReranker", "Scorer"]


class Scorer(Protocol):
    """Scores how well candidates fit a query."""

    def score(self, query: Query, candidates: Sequence[PIL.Image.Image]) -> Sequence[float]:
        """Return one score per candidate, higher is better; NaN for one that cannot be scored."""
        ...


class PointwiseReranker(ImageReranker):
    """Rerank by the score of each candidate; one without a score keeps its retrieval rank.

    Parameters
    ----------
    scorer : Scorer
        Gets the query and the candidates with their images loaded.
    batch_size : int, default 16
        Maximum number of candidates per call of the scorer.
    on_failure : {"keep_order", "raise"}, default "keep_order"
        With ``"keep_order"`` the candidates of a call that fails keep their retrieval ranks, and the result reports it.
    policy : ImagePolicy, optional
        Which candidate and query images may be read. Default: any local file.

    Examples
    --------
    >>> class Brightness:
    ...     def score(self, query, candidates):
    ...         return [image.convert("L").getpixel((0, 0)) for image in candidates]
    >>> grays = [PIL.Image.new("L", (8, 8), value) for value in (9, 200, 90)]
    >>> PointwiseReranker(Brightness()).rerank(Query("something light"), grays).ranking.order
    [2, 3, 1]
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        batch_size: int = 16,
        on_failure: OnFailure = "keep_order",
        policy: ImagePolicy | None = None,
    ) -> None:
        super().__init__(on_failure, policy)
        if batch_size < 1:
            raise SettingError(f"batch_size={batch_size} scores no candidate: use 1 or more")
        self.scorer, self.batch_size = scorer, batch_size

    def _rank(self, run: RerankRun) -> Ranking:
        labels = range(1, len(run.images) + 1)
        loaded = [(label, image) for label, image in zip(labels, run.images, strict=True) if image is not None]
        scores: dict[int, float] = {}
        for start in range(0, len(loaded), self.batch_size):
            scores |= self._score(run, dict(loaded[start : start + self.batch_size]))
        run.judged = bool(scores)
        best_first = iter(sorted(scores, key=lambda label: (-scores[label], label)))
        unscored = [label for label in labels if label not in scores]
        repairs = [f"not scored, retrieval rank kept: {', '.join(map(str, unscored))}"] if unscored else []
        return Ranking(
            order=[next(best_first) if label in scores else label for label in labels],
            scores=[] if unscored else [scores[label] for label in labels],
            repairs=[*repairs, *(f"order kept: {failure}" for failure in run.failures)],
        )

    def _score(self, run: RerankRun, images: dict[int, PIL.Image.Image]) -> dict[int, float]:
        run.check_cancelled()
        try:
            with measure(run.timings_ms, "score"):
                scores = [float(score) for score in self.scorer.score(run.query, list(images.values()))]
            if len(scores) != len(images):
                counts = f"{len(scores)} scores for {len(images)} candidates"
                raise AnswerError(f"{type(self.scorer).__name__}.score returned {counts}: it must score each once")
        except Exception as error:  # a model may raise anything, and no candidate may get lost
            self._record_failure(run, error, "scorer")
            return {}
        return {label: score for label, score in zip(images, scores, strict=True) if isfinite(score)}
