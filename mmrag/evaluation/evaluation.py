"""An evaluation: metrics and timings of a run, as JSON and as a self-contained HTML page."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError, computed_field

from mmrag.errors import SettingError
from mmrag.evaluation.metrics import ALL, Metrics, Score, average, percentiles
from mmrag.evaluation.result import COMPOSED, RERANK_GAIN, RERANKED, ImageInfo, QueryResult, ResultComparison
from mmrag.query import Query
from mmrag.reports.html import render, section, small
from mmrag.results import RankedImage, RankedImages

__all__ = ["Evaluation"]

WORST = 12
WORST_IN_A_CELL = 4
SHOWN_NAMES = 20
MARKS = ("", "≈ ", "✓ ")  # irrelevant, partly right, right


class AnswerStats(BaseModel, frozen=True):
    """Number of calls of the vision LLM; shares that were malformed or failed, and of rankings that were repaired."""

    calls: int
    malformed: float
    failed: float
    repaired: float


class Evaluation(BaseModel, frozen=True):
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
        """Return the mean of a metric; ``mode`` defaults to `final_mode`. Raises `SettingError` if there is none."""
        mode = mode or self.final_mode
        for score in self.scores:
            if (score.kind, score.mode, score.metric) == (kind, mode, metric):
                return score
        raise SettingError(f"no score {metric!r} of {kind!r}, {mode!r}: metrics are {', '.join(self.metrics)}")

    def worst(self, n: int = WORST) -> list[QueryResult]:
        """Return the n queries with the lowest `main_metric`, worst first."""
        metric, mode = self.main_metric, self.final_mode
        return sorted(self.results, key=lambda result: (result.metrics[mode][metric], result.id))[:n]

    def save(self, file: Path) -> None:
        """Write the evaluation as JSON; creates the folder."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=2), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Evaluation:
        """Read what `save` or ``mmrag eval --json`` wrote. Raises `SettingError` if the file is no evaluation."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            fault = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise SettingError(
                f"{file} is no evaluation ({fault}). Write one: mmrag eval … --json > earlier.json"
            ) from error

    def to_html(self, comparison: ResultComparison | None = None, *, worst: int = WORST) -> str:
        """Render metrics over all queries and by kind, latencies, and the worst queries as images.

        Parameters
        ----------
        comparison : ResultComparison, optional
            Comparison with an earlier evaluation, shown beside it.
        worst : int, default 12
            Number of queries shown.
        """
        by_metric: dict[str, dict[str, dict[str, Any]]] = {}
        for score in self.scores:
            by_metric.setdefault(score.metric, {}).setdefault(score.kind, {})[score.mode] = score
        return render(
            "evaluation.html",
            title=f"mmrag eval: {self.dataset}",
            evaluation=self,
            comparison=comparison,
            modes=[m for m in dict.fromkeys(s.mode for s in self.scores) if m != RERANK_GAIN],
            gain=RERANK_GAIN,
            by_metric=by_metric,
            several_kinds=len({result.kind for result in self.results}) > 1,
            all=ALL,
            shown_names=SHOWN_NAMES,
            worst=[self._query_card(result) for result in self.worst(worst)],
        )

    def write_html(self, file: Path, comparison: ResultComparison | None = None) -> None:
        """Write `to_html` to a file; creates the folder."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.to_html(comparison), encoding="utf-8")

    def _repr_html_(self) -> str:
        # In a frame, so that the styles of page and notebook do not mix.
        page = self.to_html(worst=WORST_IN_A_CELL).replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 640px; border: 0"></iframe>'

    def _query_card(self, result: QueryResult) -> dict[str, Any]:
        """Return what the template shows of a query: the search, its metric, and the rank of each right image."""
        ranks = {name: rank for rank, name in enumerate(result.rankings[self.final_mode], 1)}
        best = max(result.grades.values())
        right = sorted(name for name, grade in result.grades.items() if grade == best)
        shown = [(ranks.get(name), self.images[name]) for name in right[: self.top] if name in self.images]
        return {
            "search": section(self._ranked_images(result)),
            "kind": result.kind,
            "value": result.metrics[self.final_mode][self.main_metric],
            "right": [{"title": image.title, "image": small(image.path), "rank": rank} for rank, image in shown],
        }

    def _ranked_images(self, result: QueryResult) -> RankedImages:
        """Rebuild the ranked images of a query, with a mark before the titles of the right ones."""
        retrieved, final = (result.rankings[mode][: self.top] for mode in (COMPOSED, self.final_mode))
        images: list[RankedImage] = []
        for rank, name in enumerate(final, 1):
            image = self.images.get(name, ImageInfo(path=name, title=name))
            grade, before = result.grades.get(name, 0), retrieved.index(name)
            mark = MARKS[2 if grade == max(result.grades.values()) else 1 if grade else 0]
            images.append(
                RankedImage(
                    id=name,
                    path=image.path,
                    title=mark + image.title,
                    rank=rank,
                    retrieval_rank=before + 1,
                    score=result.similarities[before],
                    reason=result.reason if rank == 1 else "",
                )
            )
        return RankedImages(
            results=tuple(images),
            stage="reranked" if self.reranker else "retrieved",
            repairs=tuple(result.repairs),
            timings_ms=result.timings_ms,
            query=Query(result.text, result.image),
        )


def _with_gain(metrics: Metrics) -> Metrics:
    if RERANKED not in metrics:
        return metrics
    before = metrics[COMPOSED]
    return {**metrics, RERANK_GAIN: {name: value - before[name] for name, value in metrics[RERANKED].items()}}
