"""The nouns that are evaluated on: queries, each with its graded answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from mmrag.errors import SettingError

__all__ = ["Judged", "JudgedQuery", "together"]


@dataclass(frozen=True)
class JudgedQuery:
    """A query whose answers are known.

    Attributes
    ----------
    id, kind
        Its name, and the group whose figures it goes into.
    text, image
        What is asked; at least one of both.
    grades
        Grade of each answer, by the name of its image; all others have grade 0.
    excluded
        Images that are no answers, and are left out of the ranking: the query's own, often.
    subset
        A few images that are also ranked among themselves; none for most data sets.
    """

    id: str
    kind: str
    text: str
    image: Path | None
    grades: Mapping[str, int]
    excluded: frozenset[str] = frozenset()
    subset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """Queries with their answers, and how they are measured.

    Attributes
    ----------
    name
        Of the data set.
    queries
        In their order; ids are unique.
    cutoffs
        The k of recall@k and others; None leaves it to whoever evaluates.
    subset_cutoffs
        The same for each query's ``subset``.
    relevant, exact
        Least grade that recall and mAP count, and least grade that is a hit.
    galleries
        By kind, the images that are searched; all of the index where a kind is not listed.
    """

    name: str
    queries: tuple[JudgedQuery, ...]
    cutoffs: tuple[int, ...] | None = None
    subset_cutoffs: tuple[int, ...] = ()
    relevant: int = 1
    exact: int = 1
    galleries: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def __post_init__(self) -> None:
        if not self.queries:
            raise SettingError(f"{self.name} holds no queries: there is nothing to evaluate")
        seen: set[str] = set()
        for query in self.queries:
            if query.id in seen:
                raise SettingError(f"{self.name} holds the query {query.id!r} twice: rename one")
            if not query.grades:
                raise SettingError(f"{self.name} knows no answer to {query.id!r}: judge it, or take it out")
            seen.add(query.id)


def together(parts: Sequence[Judged]) -> Judged:
    """Join the parts of one data set, as FashionIQ's categories.

    Raises
    ------
    SettingError
        When they are not measured alike.
    """
    first = parts[0]
    for part in parts[1:]:
        for fact in ("cutoffs", "subset_cutoffs", "relevant", "exact"):
            here, there = getattr(first, fact), getattr(part, fact)
            if here != there:
                raise SettingError(
                    f"{first.name} and {part.name} differ in {fact} ({here} and {there}): evaluate them one by one"
                )
    return Judged(
        name=", ".join(dict.fromkeys(part.name for part in parts)),
        queries=tuple(chain.from_iterable(part.queries for part in parts)),
        cutoffs=first.cutoffs,
        subset_cutoffs=first.subset_cutoffs,
        relevant=first.relevant,
        exact=first.exact,
        galleries=dict(chain.from_iterable(part.galleries.items() for part in parts)),
    )
