"""Composed queries about the drawn catalog with graded answers, in memory and as files."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product as cross
from pathlib import Path
from random import Random

from PIL import Image

from mmrag.datasets.attributes import PATTERNS, PRODUCTS, Target, colors_of
from mmrag.datasets.catalog import Item, draw_files
from mmrag.datasets.render import ImageSpec
from mmrag.datasets.wording import QueryType, sentence
from mmrag.errors import QueryError

__all__ = ["ALL_PAIRS", "AttributePairs", "DrawnQuery", "make_query", "qrels", "queries", "write_queries"]

Pair = tuple[str, str]
"""A product and a pattern."""


@dataclass(frozen=True)
class DrawnQuery:
    """A query with known relevant items.

    Attributes
    ----------
    text : str
        Empty if the query is an image alone.
    image_spec : ImageSpec or None
        The query's image, which is in no catalog; None if the query is text alone.
    """

    id: str
    query_type: QueryType
    text: str
    image_spec: ImageSpec | None
    target: Target

    def image(self, size: int = 192) -> Image.Image | None:
        """Draw the query's image, ``size`` pixels wide and high; returns None for text queries."""
        return None if self.image_spec is None else self.image_spec.draw(size)


@dataclass(frozen=True)
class AttributePairs:
    """Pairs of product and pattern that queries may look for, each with its colors."""

    colors: Mapping[Pair, tuple[str, ...]]

    @classmethod
    def from_items(cls, items: Iterable[Item]) -> AttributePairs:
        """Collect the pairs and colors of a catalog, so that each query has an exact answer in it."""
        colors: dict[Pair, dict[str, None]] = {}
        for item in items:
            colors.setdefault((item.product, item.pattern), {})[item.color] = None
        return cls({pair: tuple(names) for pair, names in colors.items()})

    def without(self, pairs: Collection[Pair]) -> AttributePairs:
        """Exclude pairs, such as `HELD_OUT_PAIRS`."""
        return AttributePairs({pair: colors for pair, colors in self.colors.items() if pair not in pairs})

    def other_products(self, product: str, pattern: str) -> list[str]:
        """List the other products that come in a pattern."""
        return [p for p, q in self.colors if q == pattern and p != product]

    def other_patterns(self, product: str, pattern: str) -> list[str]:
        """List the other patterns of a product."""
        return [q for p, q in self.colors if p == product and q != pattern]


ALL_PAIRS = AttributePairs({(p, q): colors_of(q) for p, q in cross(PRODUCTS, PATTERNS)})


def queries(query_type: QueryType | str, n: int, seed: int, catalog: Iterable[Item] | None = None) -> list[DrawnQuery]:
    """Generate n queries of a type.

    Parameters
    ----------
    query_type : QueryType or str
        Such as ``"swatch_product"``.
    n : int
        Number of queries.
    seed : int
        Equal arguments give equal queries.
    catalog : iterable of Item, optional
        If given, each query has an exact answer in it. Default: any product, pattern and color.

    Examples
    --------
    >>> [query.id for query in queries("text", n=2, seed=1)]
    ['text-0000', 'text-0001']
    """
    query_type = _validate(query_type)
    pairs = ALL_PAIRS if catalog is None else AttributePairs.from_items(catalog)
    rng = Random(f"{query_type} {seed}")
    return [make_query(query_type, rng, pairs, id=f"{query_type}-{number:04d}") for number in range(n)]


def make_query(query_type: QueryType | str, rng: Random, pairs: AttributePairs = ALL_PAIRS, id: str = "") -> DrawnQuery:
    """Generate a query: sample a target, then a text and an image that describe it together.

    The target has a color if the query shows or names one: always for `RECOLOR` and `IMAGE`, in two
    of five `TEXT` queries, and never for the other types. Images show only pairs of ``pairs``.

    Examples
    --------
    >>> query = make_query("recolour", Random(0))
    >>> query.text
    'this one but in blue'
    >>> query.image_spec.pattern == query.target.pattern, query.target.color
    (True, 'blue')
    """
    query_type = _validate(query_type)
    product, pattern = _sample_pair(query_type, rng, pairs)
    color = rng.choice(pairs.colors[product, pattern])
    any_color = Target(product, pattern)
    with_color = Target(product, pattern, color)
    match query_type:
        case QueryType.SWATCH_PRODUCT:
            shown, target = (None, pattern, rng.choice(colors_of(pattern))), any_color
        case QueryType.PRODUCT_PRODUCT:
            other = rng.choice(pairs.other_products(product, pattern))
            shown, target = (other, pattern, rng.choice(colors_of(pattern))), any_color
        case QueryType.REPATTERN:
            other = rng.choice(pairs.other_patterns(product, pattern))
            shown, target = (product, other, rng.choice(colors_of(other))), any_color
        case QueryType.RECOLOR:
            other = rng.choice([other for other in colors_of(pattern) if other != color])
            shown, target = (product, pattern, other), with_color
        case QueryType.IMAGE:
            shown, target = (product, pattern, color), with_color
        case QueryType.TEXT:
            shown, target = None, with_color if rng.random() < 0.4 else any_color
    text = sentence(query_type, target, rng)
    seed = f"query {rng.getrandbits(64):x}"
    return DrawnQuery(id, query_type, text, shown and ImageSpec(*shown, seed), target)


def qrels(queries: Iterable[DrawnQuery], items: Sequence[Item]) -> list[str]:
    """Grade each item for each query; returns TREC lines ``query 0 item grade``.

    Grades are 2 (exact) and 1 (partial). As usual in TREC files, grade 0 is not listed.

    Examples
    --------
    >>> from mmrag.datasets import plan_catalog, queries
    >>> items = plan_catalog(288)
    >>> qrels(queries("swatch_product", 1, seed=3, catalog=items), items)[0].split()[:2]
    ['swatch_product-0000', '0']
    """
    graded = (
        (query.id, item.id, query.target.grade(item.product, item.pattern, item.color))
        for query in queries
        for item in items
    )
    return [f"{query} 0 {item} {grade}" for query, item, grade in graded if grade]


def write_queries(folder: str | Path, queries: Sequence[DrawnQuery], items: Sequence[Item]) -> None:
    """Write queries (``queries.jsonl``), their images (JPEG) and grades (``qrels.txt``) into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_files({folder / f"{query.id}.jpg": query.image_spec for query in queries if query.image_spec})
    lines = [json.dumps(_to_record(query)) + "\n" for query in queries]
    (folder / "queries.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "qrels.txt").write_text("".join(f"{line}\n" for line in qrels(queries, items)), encoding="utf-8")


def _to_record(query: DrawnQuery) -> dict[str, object]:
    return {
        "id": query.id,
        "kind": query.query_type,
        "text": query.text,
        "image": f"{query.id}.jpg" if query.image_spec else None,
        "target": asdict(query.target),
    }


def _validate(query_type: QueryType | str) -> QueryType:
    try:
        return QueryType(query_type)
    except ValueError as error:
        raise QueryError(f"No query type {query_type!r}. Use one of: {', '.join(QueryType)}") from error


def _sample_pair(query_type: QueryType, rng: Random, pairs: AttributePairs) -> Pair:
    choices = list(pairs.colors)
    if query_type is QueryType.PRODUCT_PRODUCT:
        choices = [pair for pair in choices if pairs.other_products(*pair)]
    if query_type is QueryType.REPATTERN:
        choices = [pair for pair in choices if pairs.other_patterns(*pair)]
    if not choices:
        raise QueryError(
            f"{len(pairs.colors)} pairs of product and pattern leave nothing for a {query_type} query. "
            "Use a larger catalog."
        )
    return rng.choice(choices)
