"""The one place that talks to `ir-measures`. In: rankings and graded answers. Out: figures."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# ir-measures has no types.

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import ir_measures
from ir_measures import AP, RR, R, Success, nDCG

from mmrag.reports.html import Figure
from mmrag.results import Found

__all__ = ["Grades", "figures", "measured"]

Grades = Mapping[str, int]
"""Of one query: grade by item; what is not listed has grade 0."""

EXACT = 2


def measured(
    rankings: Mapping[str, Sequence[str]],
    judgements: Mapping[str, Grades],
    cutoffs: Iterable[int],
    *,
    relevant: int = 1,
    exact: int = 1,
) -> dict[str, dict[str, float]]:
    """Measure each judged query: recall@k, hit@k, nDCG@k, mAP@k for each k, and MRR.

    Parameters
    ----------
    rankings
        Items by query, best first. A judged query without a ranking scores 0.
    judgements
        Grades by query.
    cutoffs
        How far down people look.
    relevant
        Least grade that recall and mAP count.
    exact
        Least grade that is a hit, and that MRR looks for.

    Examples
    --------
    >>> told = measured({"q": ["a", "b"]}, {"q": {"b": 1}}, [1, 2])["q"]
    >>> told["hit@1"], told["hit@2"], told["MRR"], told["mAP@2"]
    (0.0, 1.0, 0.5, 0.5)
    """
    measures = {"MRR": RR(rel=exact)}
    for k in cutoffs:
        measures |= {
            f"hit@{k}": Success(rel=exact) @ k,
            f"recall@{k}": R(rel=relevant) @ k,
            f"nDCG@{k}": nDCG @ k,
            f"mAP@{k}": AP(rel=relevant) @ k,
        }
    names = {measure: name for name, measure in measures.items()}
    told = {query: dict.fromkeys(measures, 0.0) for query in judgements}
    # Measures sort by score, and break ties in ways of their own: each place gets its own score.
    run = {
        query: {item: -float(place) for place, item in enumerate(items)}
        for query, items in rankings.items()
        if query in judgements
    }
    qrels = {query: dict(grades) for query, grades in judgements.items()}
    for metric in ir_measures.iter_calc(list(names), qrels, run):
        told[metric.query_id][names[metric.measure]] = float(metric.value)
    return told


def figures(searches: Sequence[tuple[Found, Grades]], *, depth: int, item: str) -> list[Figure]:
    """Measure hit@1, hit@depth and nDCG@depth, as retrieved and, where it was done, reranked.

    An exact answer has grade 2, a partial one grade 1.

    Parameters
    ----------
    searches
        Each with the grades of its query.
    depth
        How far down people look.
    item
        The metadata field by which grades know a hit.

    Examples
    --------
    >>> from mmrag.results import Hit
    >>> from mmrag.query import Query
    >>> hits = tuple(Hit(name, name, 1.0, {"item": name}) for name in "ab")
    >>> judged = [(Found(Query("mug"), hits), {"b": 2})]
    >>> [figure.before for figure in figures(judged, depth=2, item="item")]
    [0.0, 1.0, 0.63]
    """
    judgements = {str(number): grades for number, (_, grades) in enumerate(searches)}

    def means(rankings: Iterable[Sequence[str]]) -> dict[str, float]:
        told = measured(
            {str(number): items for number, items in enumerate(rankings)},
            judgements,
            (1, depth),
            relevant=EXACT,
            exact=EXACT,
        ).values()
        names = ("hit@1", f"hit@{depth}", f"nDCG@{depth}")
        return {name: fmean(values[name] for values in told) for name in names}

    def named(found: Found) -> list[str]:
        return [str(move.hit.metadata[item]) for move in found.moves]

    def retrieved(found: Found) -> list[str]:
        return [str(hit.metadata[item]) for hit in found.hits]

    before = means(retrieved(found) for found, _ in searches)
    reranked = any(found.reranked for found, _ in searches)
    after = means(named(found) for found, _ in searches) if reranked else {}
    return [Figure(name, value, after.get(name)) for name, value in before.items()]
