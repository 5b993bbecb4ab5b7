"""How good searches are. In: what was found for judged queries. Out: figures, before and after.

The measures are those of `ir-measures`; an exact answer has grade 2, a partial one grade 1.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# ir-measures has no types.

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ir_measures
from ir_measures import Success, nDCG

from mmrag.app.found import Found
from mmrag.app.report import Figure

__all__ = ["Grades", "figures"]

Grades = Mapping[str, int]
"""Of one query: grade by item; what is not listed has grade 0."""

EXACT = 2


def figures(searches: Sequence[tuple[Found, Grades]], *, depth: int, item: str) -> list[Figure]:
    """Measure hit@1, hit@depth and nDCG@depth, as retrieved and, where it was done, reranked.

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
    >>> from mmrag.app.found import Hit
    >>> from mmrag.query import Query
    >>> hits = tuple(Hit(name, name, 1.0, {"item": name}) for name in "ab")
    >>> judged = [(Found(Query("mug"), hits), {"b": 2})]
    >>> [figure.before for figure in figures(judged, depth=2, item="item")]
    [0.0, 1.0, 0.63]
    """
    measures = {
        "hit@1": Success(rel=EXACT) @ 1,
        f"hit@{depth}": Success(rel=EXACT) @ depth,
        f"nDCG@{depth}": nDCG @ depth,
    }
    qrels = {str(number): dict(grades) for number, (_, grades) in enumerate(searches)}

    def measured(after: bool) -> Mapping[str, float]:
        run = {
            str(number): _scores(found, item, after) for number, (found, _) in enumerate(searches)
        }
        values = ir_measures.calc_aggregate(measures.values(), qrels, run)
        return {name: float(values[measure]) for name, measure in measures.items()}

    before = measured(after=False)
    reranked = any(found.reranked for found, _ in searches)
    after = measured(after=True) if reranked else {}
    return [Figure(name, before[name], after.get(name)) for name in measures]


def _scores(found: Found, item: str, after: bool) -> dict[str, float]:
    """Score each place: measures sort by score, and break ties in ways of their own."""
    return {
        str(move.hit.metadata[item]): -float(move.after if after else move.before)
        for move in found.moves
    }
