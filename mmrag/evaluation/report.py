"""Self-contained HTML report of an evaluation, as a file or a notebook cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrag.evaluation.comparison import ResultComparison
from mmrag.evaluation.metrics import ALL
from mmrag.evaluation.result import COMPOSED, RERANK_GAIN, RERANKED, Evaluation, QueryResult
from mmrag.query import Query
from mmrag.reports.html import render, section, small
from mmrag.results import RankedImage, RankedImages

__all__ = ["evaluation_cell", "evaluation_page", "write_evaluation"]

WORST = 12
WORST_IN_A_CELL = 4
SHOWN_NAMES = 20
MARKS = ("", "≈ ", "✓ ")


def write_evaluation(file: Path, evaluation: Evaluation, comparison: ResultComparison | None = None) -> None:
    """Write `evaluation_page` to a file, in folders that are made when missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(evaluation_page(evaluation, comparison), encoding="utf-8")


def evaluation_page(evaluation: Evaluation, comparison: ResultComparison | None = None, *, worst: int = WORST) -> str:
    """Render an evaluation: figures over all and by kind, times, and the worst queries as images.

    Parameters
    ----------
    evaluation
        What was measured.
    comparison
        With another run; left out when None.
    worst
        How many queries to show.
    """
    by_metric: dict[str, dict[str, dict[str, Any]]] = {}
    for score in evaluation.scores:
        kinds = by_metric.setdefault(score.metric, {})
        kinds.setdefault(score.kind, {})[score.mode] = score
    return render(
        "evaluation.html",
        title=f"mmrag eval: {evaluation.dataset}",
        evaluation=evaluation,
        comparison=comparison,
        modes=[m for m in dict.fromkeys(s.mode for s in evaluation.scores) if m != RERANK_GAIN],
        gain=RERANK_GAIN,
        by_metric=by_metric,
        several_kinds=len({result.kind for result in evaluation.results}) > 1,
        all=ALL,
        shown_names=SHOWN_NAMES,
        worst=[_worst(evaluation, result) for result in evaluation.worst(worst)],
    )


def evaluation_cell(evaluation: Evaluation) -> str:
    """Render an evaluation for a notebook: the page in a frame, so that styles do not mix."""
    page = evaluation_page(evaluation, worst=WORST_IN_A_CELL)
    page = page.replace("&", "&amp;").replace('"', "&quot;")  # what an attribute's value needs
    return f'<iframe srcdoc="{page}" style="width: 100%; height: 640px; border: 0"></iframe>'


def _worst(evaluation: Evaluation, result: QueryResult) -> dict[str, Any]:
    """Tell the template of one query: the search, its figure, and where its answers came."""
    ranking = result.rankings[evaluation.final_mode]
    best = max(result.grades.values())
    right = sorted(name for name, grade in result.grades.items() if grade == best)
    return {
        "search": section(_found(evaluation, result)),
        "kind": result.kind,
        "value": result.metrics[evaluation.final_mode][evaluation.main_metric],
        "right": [
            {
                "title": evaluation.images[name].title,
                "image": small(evaluation.images[name].path),
                "place": ranking.index(name) + 1 if name in ranking else None,
            }
            for name in right[: evaluation.top]
            if name in evaluation.images
        ],
    }


def _found(evaluation: Evaluation, result: QueryResult) -> RankedImages:
    """Rebuild the ranked images of a query."""
    retrieved = result.rankings[COMPOSED][: evaluation.top]
    scores = dict(zip(retrieved, result.similarities, strict=True))
    ranks = {name: rank for rank, name in enumerate(retrieved, 1)}
    final = result.rankings.get(RERANKED, retrieved)[: evaluation.top]
    return RankedImages(
        results=tuple(
            _image(evaluation, result, name, rank=rank, retrieval_rank=ranks[name], score=scores[name])
            for rank, name in enumerate(final, 1)
        ),
        stage="reranked" if RERANKED in result.rankings else "retrieved",
        repairs=tuple(result.repairs),
        timings_ms=result.timings_ms,
        query=Query(result.text, result.image),
    )


def _image(evaluation: Evaluation, result: QueryResult, name: str, **fields: Any) -> RankedImage:
    shown = evaluation.images.get(name)
    grade, best = result.grades.get(name, 0), max(result.grades.values())
    mark = MARKS[2 if grade == best else 1 if grade else 0]
    path, title = (shown.path, shown.title) if shown else (name, name)
    reason = result.reason if fields["rank"] == 1 else ""
    return RankedImage(id=name, path=path, title=mark + title, reason=reason, **fields)
