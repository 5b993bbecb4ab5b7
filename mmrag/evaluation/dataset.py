"""Queries with graded relevant images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from mmrag.errors import SettingError

__all__ = ["EvalDataset", "EvalQuery", "merge_datasets"]


@dataclass(frozen=True)
class EvalQuery:
    """A query with its relevant images.

    Attributes
    ----------
    id : str
        Unique in the data set.
    kind : str
        Group of the query; metrics are averaged over all queries and by kind.
    text : str
        Text of the query; may be empty if there is an image.
    image : Path or None
        Image of the query.
    grades : mapping of str to int
        Grade of each relevant image by name; all other images have grade 0.
    excluded : frozenset of str, optional
        Images that are removed from the ranking, such as the query's own.
    subset : tuple of str, optional
        A few images that are also ranked among themselves.
    """

    id: str
    kind: str
    text: str
    image: Path | None
    grades: Mapping[str, int]
    excluded: frozenset[str] = frozenset()
    subset: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalDataset:
    """Queries and how they are measured.

    Attributes
    ----------
    name : str
        Name of the data set.
    queries : tuple of EvalQuery
        At least one; ids are unique and each query has a relevant image.
    cutoffs : tuple of int, optional
        The k of recall@k and the other metrics. Default: 1 and the number of results of a search.
    subset_cutoffs : tuple of int, optional
        The k of recall@k within each query's ``subset``.
    relevant, exact : int
        Least grade that counts for recall and mAP, and least grade that counts for hit@k and MRR. Default: 1.
    galleries : mapping of str to frozenset of str, optional
        Names of the images that queries of a kind search. Default: all images of the index.
    """

    name: str
    queries: tuple[EvalQuery, ...]
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
                raise SettingError(f"{self.name} has no relevant image for {query.id!r}: grade one, or remove it")
            seen.add(query.id)


def merge_datasets(parts: Sequence[EvalDataset]) -> EvalDataset:
    """Merge the parts of one data set, such as the categories of FashionIQ.

    Raises
    ------
    SettingError
        If the parts differ in cutoffs or grades.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in ("cutoffs", "subset_cutoffs", "relevant", "exact"):
            here, there = getattr(first, name), getattr(part, name)
            if here != there:
                raise SettingError(
                    f"{first.name} and {part.name} differ in {name} ({here} and {there}): evaluate them one by one"
                )
    return replace(
        first,
        name=", ".join(dict.fromkeys(part.name for part in parts)),
        queries=tuple(chain.from_iterable(part.queries for part in parts)),
        galleries=dict(chain.from_iterable(part.galleries.items() for part in parts)),
    )
