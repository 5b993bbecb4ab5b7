"""An evaluation as one self-contained HTML page. In: an evaluation. Out: a page, or a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrag.evaluation.comparison import Comparison, in_words
from mmrag.evaluation.result import BOTH, GAIN, RERANKED, Evaluation, Outcome
from mmrag.evaluation.scoring import ALL
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.reports.html import render, section, small
from mmrag.rerank import Reranked
from mmrag.results import Found, Hit

__all__ = ["evaluation_cell", "evaluation_page", "write_evaluation"]

WORST = 12
WORST_IN_A_CELL = 4
SHOWN_NAMES = 20
MARKS = ("", "≈ ", "✓ ")


def write_evaluation(file: Path, evaluation: Evaluation, comparison: Comparison | None = None) -> None:
    """Write `evaluation_page` to a file, in folders that are made when missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(evaluation_page(evaluation, comparison), encoding="utf-8")


def evaluation_page(evaluation: Evaluation, comparison: Comparison | None = None, *, worst: int = WORST) -> str:
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
    by_measure: dict[str, dict[str, dict[str, Any]]] = {}
    for score in evaluation.scores:
        kinds = by_measure.setdefault(score.measure, {})
        kinds.setdefault(score.kind, {})[score.way] = score
    return render(
        "evaluation.html",
        title=f"mmrag eval: {evaluation.data}",
        evaluation=evaluation,
        models=in_words(evaluation),
        comparison=comparison,
        ways=[w for w in dict.fromkeys(s.way for s in evaluation.scores) if w != GAIN],
        gain=GAIN,
        by_measure=by_measure,
        several_kinds=len({o.kind for o in evaluation.outcomes}) > 1,
        all=ALL,
        shown_names=SHOWN_NAMES,
        worst=[_worst(evaluation, outcome) for outcome in evaluation.worst(worst)],
    )


def evaluation_cell(evaluation: Evaluation) -> str:
    """Render an evaluation for a notebook: the page in a frame, so that styles do not mix."""
    page = evaluation_page(evaluation, worst=WORST_IN_A_CELL)
    page = page.replace("&", "&amp;").replace('"', "&quot;")  # what an attribute's value needs
    return f'<iframe srcdoc="{page}" style="width: 100%; height: 640px; border: 0"></iframe>'


def _worst(evaluation: Evaluation, outcome: Outcome) -> dict[str, Any]:
    """Tell the template of one query: the search, its figure, and where its answers came."""
    ranking = outcome.rankings[evaluation.final]
    best = max(outcome.grades.values())
    right = sorted(name for name, grade in outcome.grades.items() if grade == best)
    return {
        "search": section(_found(evaluation, outcome)),
        "kind": outcome.kind,
        "value": outcome.values[evaluation.final][evaluation.deepest],
        "right": [
            {
                "title": evaluation.images[name].title,
                "image": small(evaluation.images[name].image),
                "place": ranking.index(name) + 1 if name in ranking else None,
            }
            for name in right[: evaluation.top]
            if name in evaluation.images
        ],
    }


def _found(evaluation: Evaluation, outcome: Outcome) -> Found:
    """Make the search again that a query was."""
    retrieved = outcome.rankings[BOTH][: evaluation.top]
    hits = tuple(
        _hit(evaluation, outcome, name, similarity)
        for name, similarity in zip(retrieved, outcome.similarities, strict=True)
    )
    reranked = None
    if RERANKED in outcome.rankings:
        labels = {name: label for label, name in enumerate(retrieved, 1)}
        order = [labels[name] for name in outcome.rankings[RERANKED][: evaluation.top]]
        ranking = Ranking(order=order, reason=outcome.reason, repairs=outcome.repairs)
        reranked = Reranked(ranking, tuple(order))
    query = Query(outcome.text, outcome.image)
    return Found(query, hits, outcome.milliseconds, reranked=reranked)


def _hit(evaluation: Evaluation, outcome: Outcome, name: str, similarity: float) -> Hit:
    shown = evaluation.images.get(name)
    grade, best = outcome.grades.get(name, 0), max(outcome.grades.values())
    mark = MARKS[2 if grade == best else 1 if grade else 0]
    image, title = (shown.image, shown.title) if shown else (name, name)
    return Hit(name, image, similarity, {"title": mark + title})
