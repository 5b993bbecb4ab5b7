"""Composed queries about the drawn catalog with graded answers, in memory and as files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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

AttributePairs = Mapping[tuple[str, str], Sequence[str]]
"""Pairs of product and pattern that queries may look for, each with its colors."""


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


ALL_PAIRS: AttributePairs = {(product, pattern): colors_of(pattern) for product, pattern in cross(PRODUCTS, PATTERNS)}


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
    query_type = QueryType(query_type)
    pairs = ALL_PAIRS if catalog is None else _pairs_of(catalog)
    rng = Random(f"{query_type} {seed}")
    return [make_query(query_type, rng, pairs, id=f"{query_type}-{number:04d}") for number in range(n)]


def make_query(query_type: QueryType | str, rng: Random, pairs: AttributePairs = ALL_PAIRS, id: str = "") -> DrawnQuery:
    """Generate a query: sample a target, then a text and an image that describe it together.

    The target has a color if the query shows or names one: always for `RECOLOR` and `IMAGE`, in two
    of five `TEXT` queries, and never for the other types. Images show only pairs of ``pairs``.

    Raises
    ------
    QueryError
        If the type is unknown, or no pair is left for it.
    """
    query_type = QueryType(query_type)
    choices = [pair for pair in pairs if _pairs_to_show(query_type, *pair, pairs)]
    if not choices:
        raise QueryError(
            f"{len(pairs)} pairs of product and pattern leave nothing for a {query_type} query. Use a larger catalog."
        )
    product, pattern = rng.choice(choices)
    color = rng.choice(pairs[product, pattern])
    any_color, with_color = Target(product, pattern), Target(product, pattern, color)
    match query_type:
        case QueryType.SWATCH_PRODUCT:
            shown, target = (None, pattern, rng.choice(colors_of(pattern))), any_color
        case QueryType.PRODUCT_PRODUCT | QueryType.REPATTERN:
            other = rng.choice(_pairs_to_show(query_type, product, pattern, pairs))
            shown, target = (*other, rng.choice(colors_of(other[1]))), any_color
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
    """
    return [
        f"{query.id} 0 {item.id} {grade}"
        for query in queries
        for item in items
        if (grade := query.target.grade(item.product, item.pattern, item.color))
    ]


def write_queries(folder: str | Path, queries: Sequence[DrawnQuery], items: Sequence[Item]) -> None:
    """Write queries (``queries.jsonl``), their images (JPEG) and grades (``qrels.txt``) into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_files({folder / f"{query.id}.jpg": query.image_spec for query in queries if query.image_spec})
    lines = [
        json.dumps({
            "id": query.id, "kind": query.query_type, "text": query.text,
            "image": f"{query.id}.jpg" if query.image_spec else None, "target": asdict(query.target),
        })
        for query in queries
    ]  # fmt: skip
    for name, text in (("queries.jsonl", lines), ("qrels.txt", qrels(queries, items))):
        (folder / name).write_text("".join(f"{line}\n" for line in text), encoding="utf-8")


def _pairs_of(items: Iterable[Item]) -> AttributePairs:
    colors: dict[tuple[str, str], dict[str, None]] = {}
    for item in items:
        colors.setdefault((item.product, item.pattern), {})[item.color] = None
    return {pair: tuple(names) for pair, names in colors.items()}


def _pairs_to_show(query_type: QueryType, product: str, pattern: str, pairs: AttributePairs) -> list[tuple[str, str]]:
    """List the pairs that the image of a query about a product in a pattern may show."""
    if query_type is QueryType.PRODUCT_PRODUCT:
        return [pair for pair in pairs if pair[1] == pattern and pair[0] != product]
    if query_type is QueryType.REPATTERN:
        return [pair for pair in pairs if pair[0] == product and pair[1] != pattern]
    return [(product, pattern)]
