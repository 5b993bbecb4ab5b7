"""Asks an index every judged query, in every way. In: a searcher. Out: an `Evaluation`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mmrag.errors import ImageError, SettingError
from mmrag.evaluation.dataset import Judged, JudgedQuery
from mmrag.evaluation.metrics import measured
from mmrag.evaluation.result import BOTH, IMAGE_ONLY, RERANKED, TEXT_ONLY, Evaluation, Outcome, Shown
from mmrag.evaluation.stock import Stock, take_stock
from mmrag.filters import Filter
from mmrag.query import Query
from mmrag.results import Found, Hit
from mmrag.search import Searcher

__all__ = ["evaluate"]


def evaluate(
    searcher: Searcher,
    judged: Judged,
    *,
    rerank: bool = True,
    item: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Ask each query as it is, by its text alone and by its image alone; rerank; measure.

    A query that has no text finds nothing by its text alone, and one without an image nothing by
    its image alone: so all ways are averaged over the same queries.

    Parameters
    ----------
    searcher
        Its ``settings.top`` says how many results the vision LLM puts in order.
    judged
        From `read_judged`, or made by hand.
    rerank
        Let the vision LLM look; it does so for queries as they are only.
    item
        The metadata field by which judgements name an image; its file's name without the ending
        when None.
    on_progress
        Called with the number of queries done, and of all queries.

    Raises
    ------
    SettingError
        When not one query's image can be read, or names mean several images.

    Examples
    --------
    >>> with Searcher(read_settings(db="shop.db", model="demo")) as searcher:  # doctest: +SKIP
    ...     result = evaluate(searcher, read_judged(["queries"]), rerank=False)
    >>> print(result.score("hit@1"))  # doctest: +SKIP
    0.764 (0.731–0.795)
    """
    top = searcher.settings.top
    cutoffs = judged.cutoffs or tuple(dict.fromkeys((1, top)))
    stock = take_stock(searcher.index, item)
    answers = {name for query in judged.queries for name in query.grades}
    stock.check(answers)
    if rerank:
        _ = searcher.reranker  # a missing one is told now, not after the first query
    asking = _Asking(searcher, stock, max(*cutoffs, top), rerank)
    galleries = {kind: stock.only(names) for kind, names in judged.galleries.items()}
    asked: list[_Asked] = []
    unread: dict[str, str] = {}
    for number, query in enumerate(judged.queries, 1):
        try:
            asked.append(asking.ask(query, galleries.get(query.kind)))
        except ImageError as error:
            unread[query.id] = str(error)
        if on_progress:
            on_progress(number, len(judged.queries))
    if not asked:
        first = next(iter(unread.values()))
        raise SettingError(f"no query's image can be read ({first}). Their folder: --images")
    outcomes = _outcomes(asked, judged, cutoffs)
    shown = {name for o in outcomes for names in (*o.rankings.values(), o.grades) for name in names}
    return Evaluation(
        data=judged.name,
        stored=stock.size,
        model=searcher.encoder.name,
        reranker=searcher.settings.reranker if rerank else None,
        depth=asking.depth,
        top=top,
        outcomes=outcomes,
        images={
            name: Shown(image=place.image, title=place.title) for name, place in stock.places.items() if name in shown
        },
        missing=sorted(answers - stock.places.keys()),
        unread=unread,
    )


@dataclass
class _Asked:
    """A query, and the names it found by way of asking: in its gallery, and in its subset."""

    query: JudgedQuery
    gallery: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    subset: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    front: Found | None = None


@dataclass(frozen=True)
class _Asking:
    """How queries are asked."""

    searcher: Searcher
    stock: Stock
    depth: int
    rerank: bool

    def ask(self, query: JudgedQuery, within: Filter | None) -> _Asked:
        asked = _Asked(query)
        members = [m for m in query.subset if m in self.stock.places and m not in query.excluded]
        for way, question in _ways(query).items():
            found = self._retrieved(query, question, within)
            asked.gallery[way] = self._names(query, found)
            if members:
                few = self._retrieved(query, question, self.stock.only(members))
                asked.subset[way] = self._names(query, few)
                if way == BOTH and self.rerank:
                    asked.subset[RERANKED] = self._reranked(query, few)[0]
            if way == BOTH:
                asked.front = replace(found, hits=found.hits[: self.searcher.settings.top])
                if self.rerank:
                    asked.gallery[RERANKED], asked.front = self._reranked(query, found)
        return asked

    def _retrieved(self, query: JudgedQuery, question: Query, within: Filter | None) -> Found:
        """Find as many as are wanted, after those that do not count are taken out."""
        top = self.depth + len(query.excluded)
        found = self.searcher.retrieve(question, top=top, filters=within)
        return replace(found, hits=tuple(h for h in found.hits if self._counts(query, h)))

    def _reranked(self, query: JudgedQuery, found: Found) -> tuple[list[str], Found]:
        """Let the vision LLM look at the front; what comes after it stays as it is."""
        top = self.searcher.settings.top
        front = replace(found, hits=found.hits[:top])
        reranked = self.searcher.rerank(front) if front.hits else front
        hits = tuple(move.hit for move in reranked.moves) + found.hits[top:]
        return self._names(query, replace(found, hits=hits)), reranked

    def _counts(self, query: JudgedQuery, hit: Hit) -> bool:
        names = set(self.stock.names(hit))
        return bool(names & query.grades.keys()) or not names & query.excluded

    def _names(self, query: JudgedQuery, found: Found) -> list[str]:
        named = map(self.stock.names, found.hits[: self.depth])
        # An image that several files hold is the right answer when one of its names is.
        return [next((n for n in names if n in query.grades), names[0]) for names in named]


def _ways(query: JudgedQuery) -> dict[str, Query]:
    ways: dict[str, Query] = {}
    if query.text:
        ways[TEXT_ONLY] = Query(query.text)
    if query.image:
        ways[IMAGE_ONLY] = Query(image=query.image)
    return {**ways, BOTH: Query(query.text, query.image)}


def _outcomes(asked: Sequence[_Asked], judged: Judged, cutoffs: Iterable[int]) -> list[Outcome]:
    ways = [TEXT_ONLY, IMAGE_ONLY, BOTH, RERANKED]
    values = {way: _values(asked, judged, cutoffs, way) for way in ways}
    reranked = any(RERANKED in one.gallery for one in asked)
    return [_outcome(one, {w: values[w][one.query.id] for w in (ways if reranked else ways[:-1])}) for one in asked]


def _values(asked: Sequence[_Asked], judged: Judged, cutoffs: Iterable[int], way: str) -> dict[str, dict[str, float]]:
    """Measure what one way of asking found, query by query."""
    judgements = {one.query.id: one.query.grades for one in asked}
    levels = {"relevant": judged.relevant, "exact": judged.exact}
    found = {one.query.id: one.gallery.get(way, []) for one in asked}
    values = measured(found, judgements, cutoffs, **levels)
    if judged.subset_cutoffs:
        few = {one.query.id: one.subset.get(way, []) for one in asked}
        for query, told in measured(few, judgements, judged.subset_cutoffs, **levels).items():
            recalls = {f"recall@{k}" for k in judged.subset_cutoffs}
            values[query] |= {f"subset {name}": told[name] for name in sorted(recalls)}
    return values


def _outcome(asked: _Asked, values: dict[str, dict[str, float]]) -> Outcome:
    query, found = asked.query, asked.front
    assert found is not None  # every query is asked as it is
    reranked = found.reranked
    return Outcome(
        id=query.id,
        kind=query.kind,
        text=query.text,
        image=str(query.image) if query.image else None,
        grades=dict(query.grades),
        rankings=asked.gallery,
        similarities=[round(hit.score, 6) for hit in found.hits],
        values=values,
        milliseconds=dict(found.milliseconds),
        answers=len(reranked.looks) if reranked else 0,
        malformed=sum(bool(look.ranking.repairs) for look in reranked.looks) if reranked else 0,
        failed=len(reranked.failures) if reranked else 0,
        repairs=reranked.ranking.repairs if reranked else [],
        reason=reranked.ranking.reason if reranked else "",
    )
