"""Queries about the catalog: a sentence, mostly a drawn image, and the wish behind both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product as every
from random import Random

from PIL import Image

from mmrag.errors import QueryError

from .attributes import PATTERNS, PRODUCTS, colors_of
from .catalog import Item
from .depiction import Depiction
from .relevance import Wish
from .wording import Kind, sentence

__all__ = ["EVERYTHING", "DrawnQuery", "Shelf", "make_query", "queries"]

Pair = tuple[str, str]
"""A product and a pattern."""


@dataclass(frozen=True)
class DrawnQuery:
    """A query whose right answers are known."""

    id: str
    kind: Kind
    text: str
    shown: Depiction | None
    wish: Wish

    def image(self, size: int = 192) -> Image.Image | None:
        """Draw the query's image, which is in no catalog; a text query has none."""
        return None if self.shown is None else self.shown.draw(size)


@dataclass(frozen=True)
class Shelf:
    """What can be wished for: pairs of product and pattern, each with its colors."""

    colors: Mapping[Pair, tuple[str, ...]]

    @classmethod
    def of(cls, items: Iterable[Item]) -> Shelf:
        """Only what a catalog holds, so that each wish has an exact answer."""
        colors: dict[Pair, dict[str, None]] = {}
        for item in items:
            colors.setdefault((item.product, item.pattern), {})[item.color] = None
        return cls({pair: tuple(seen) for pair, seen in colors.items()})

    def without(self, pairs: Collection[Pair]) -> Shelf:
        """All but some pairs: `HELD_OUT` in a training whose figures on them are reported."""
        return Shelf({pair: seen for pair, seen in self.colors.items() if pair not in pairs})

    @cached_property
    def products(self) -> Mapping[str, list[str]]:
        """The products of each pattern."""
        return {q: [p for p, other in self.colors if other == q] for _, q in self.colors}

    @cached_property
    def patterns(self) -> Mapping[str, list[str]]:
        """The patterns of each product."""
        return {p: [q for other, q in self.colors if other == p] for p, _ in self.colors}


EVERYTHING = Shelf({(p, q): colors_of(q) for p, q in every(PRODUCTS, PATTERNS)})


def make_query(kind: Kind | str, dice: Random, shelf: Shelf = EVERYTHING, id: str = "") -> DrawnQuery:
    """Make up a query of a kind: a wish from the shelf, then words and an image that lead to it.

    The color is wished for when the query shows or says it: always in `RECOLOR` and
    `IMAGE`, in two of five `TEXT` queries, in no other. Images show pairs of the shelf only.

    Examples
    --------
    >>> query = make_query("recolor", Random(0))
    >>> query.text
    'this one but in blue'
    >>> query.shown.pattern == query.wish.pattern, query.wish.color
    (True, 'blue')
    """
    kind = _known(kind)
    product, pattern = _wished_pair(kind, dice, shelf)
    color = dice.choice(shelf.colors[product, pattern])
    free = Wish(product, pattern)
    fixed = Wish(product, pattern, color)
    match kind:
        case Kind.SWATCH_PRODUCT:
            shown, wish = (None, pattern, dice.choice(colors_of(pattern))), free
        case Kind.PRODUCT_PRODUCT:
            other = dice.choice(_others(product, shelf.products[pattern]))
            shown, wish = (other, pattern, dice.choice(colors_of(pattern))), free
        case Kind.REPATTERN:
            other = dice.choice(_others(pattern, shelf.patterns[product]))
            shown, wish = (product, other, dice.choice(colors_of(other))), free
        case Kind.RECOLOR:
            other = dice.choice(_others(color, colors_of(pattern)))
            shown, wish = (product, pattern, other), fixed
        case Kind.IMAGE:
            shown, wish = (product, pattern, color), fixed
        case Kind.TEXT:
            shown, wish = None, fixed if dice.random() < 0.4 else free
    text = sentence(kind, wish, dice)
    seed = f"query {dice.getrandbits(64):x}"
    return DrawnQuery(id, kind, text, shown and Depiction(*shown, seed), wish)


def queries(kind: Kind | str, n: int, seed: int, catalog: Iterable[Item] | None = None) -> list[DrawnQuery]:
    """Make up n queries of a kind; with a catalog, each has an exact answer in it.

    Examples
    --------
    >>> [query.id for query in queries("text", n=2, seed=1)]
    ['text-0000', 'text-0001']
    """
    kind = _known(kind)
    shelf = EVERYTHING if catalog is None else Shelf.of(catalog)
    dice = Random(f"{kind} {seed}")
    return [make_query(kind, dice, shelf, id=f"{kind}-{number:04d}") for number in range(n)]


def _known(kind: Kind | str) -> Kind:
    try:
        return Kind(kind)
    except ValueError as error:
        raise QueryError(f"No query kind {kind!r}. Use one of: {', '.join(Kind)}") from error


def _wished_pair(kind: Kind, dice: Random, shelf: Shelf) -> Pair:
    pairs = list(shelf.colors)
    if kind is Kind.PRODUCT_PRODUCT:
        pairs = [(p, q) for p, q in pairs if len(shelf.products[q]) > 1]
    if kind is Kind.REPATTERN:
        pairs = [(p, q) for p, q in pairs if len(shelf.patterns[p]) > 1]
    if not pairs:
        raise QueryError(
            f"{len(shelf.colors)} pairs of product and pattern leave nothing for a {kind} query. Use a larger catalog."
        )
    return dice.choice(pairs)


def _others(one: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name != one]
