"""Wishes to practise on: specimens in, sentences beside images and what would fulfil them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from examples.train_demo_models.specimens import SWATCH, Shown, Specimens
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS, Target, colors_of
from mmrag.datasets.wording import QueryType, sentence

__all__ = ["ANY", "SHARES", "Sampler", "Shares", "Wanted", "grades"]

ANY = -1
"""The color number of a wish that leaves the color free."""

Shares = Mapping[QueryType, float]
"""How often each kind of wish is drawn."""

SHARES: Shares = {
    QueryType.SWATCH_PRODUCT: 3,
    QueryType.PRODUCT_PRODUCT: 3,
    QueryType.RECOLOR: 3,
    QueryType.REPATTERN: 3,
    QueryType.TEXT: 2,
    QueryType.IMAGE: 2,
}
_COLOR_NAMED = 0.4


@dataclass(frozen=True)
class Wanted:
    """A wish in numbers, its sentence, and the row of the specimen beside it (None: text alone)."""

    kind: QueryType
    row: int | None
    text: str
    product: int
    pattern: int
    color: int


def grades(wanted: Wanted, shown: Shown) -> NDArray[np.int64]:
    """Grade many images 0..3 at once, as `Target.fine_grade` grades one."""
    wrong_product = shown.product != wanted.product
    missed = wrong_product.astype(np.int64) + (shown.pattern != wanted.pattern)
    if wanted.color != ANY:
        missed = missed + (shown.color != wanted.color)
    return np.where(missed == 0, 3, np.where(missed > 1, 0, np.where(wrong_product, 1, 2)))


class Sampler:
    """Draws wishes, and images that fulfil them wholly or half, from one set of specimens."""

    def __init__(self, specimens: Specimens) -> None:
        self.specimens = specimens
        self._rows: dict[tuple[str, int, int, int], list[int]] = defaultdict(list)
        shown = specimens.shown
        attributes = zip(shown.product, shown.pattern, shown.color, strict=True)
        for row, (product, pattern, color) in enumerate(attributes):
            self._rows["swatch" if product == SWATCH else "product", ANY, ANY, ANY].append(row)
            if product != SWATCH:
                self._rows["all", product, pattern, color].append(row)
                self._rows["all", product, pattern, ANY].append(row)
                self._rows["item", product, ANY, ANY].append(row)
                self._rows["print", ANY, pattern, ANY].append(row)

    @property
    def products(self) -> list[int]:
        """The rows that show a product, no swatch."""
        return self._rows["product", ANY, ANY, ANY]

    def wanted(self, rng: Random, shares: Shares = SHARES) -> Wanted:
        """Draw a wish of any kind that some other specimen fulfils."""
        kind = rng.choices(list(shares), list(shares.values()))[0]
        while True:
            wanted = self._draw(kind, rng)
            if any(row != wanted.row for row in self._fulfilling(wanted)[:2]):
                return wanted

    def fulfilling(self, wanted: Wanted, rng: Random) -> int:
        """Draw a specimen that fulfils a wish, other than the one beside it."""
        while True:
            row = rng.choice(self._fulfilling(wanted))
            if row != wanted.row:
                return row

    def half_fulfilling(self, wanted: Wanted, rng: Random) -> int:
        """Draw the right product in any pattern, or the right pattern on any product."""
        item = ("item", wanted.product, ANY, ANY)
        pattern = ("print", ANY, wanted.pattern, ANY)
        return rng.choice(self._rows[item if rng.random() < 0.5 else pattern])

    def near(self, wanted: Wanted, closeness: float, rng: np.random.Generator) -> int:
        """Draw a specimen that has each attribute of a wish with probability ``closeness``."""

        def maybe(attribute: int, names: int) -> int:
            return attribute if rng.random() < closeness else int(rng.integers(names))

        while True:
            pair = maybe(wanted.product, len(PRODUCTS)), maybe(wanted.pattern, len(PATTERNS))
            keep_color = wanted.color != ANY and rng.random() < closeness
            rows = self._rows.get(("all", *pair, wanted.color if keep_color else ANY))
            if rows:  # a held-out pair has none
                return rows[rng.integers(len(rows))]

    def _fulfilling(self, wanted: Wanted) -> list[int]:
        return self._rows.get(("all", wanted.product, wanted.pattern, wanted.color), [])

    def _draw(self, kind: QueryType, rng: Random) -> Wanted:
        beside = "swatch" if kind is QueryType.SWATCH_PRODUCT else "product"
        row = rng.choice(self._rows[beside, ANY, ANY, ANY])
        product = int(self.specimens.shown.product[row])
        pattern = int(self.specimens.shown.pattern[row])
        color = int(self.specimens.shown.color[row])
        match kind:
            case QueryType.SWATCH_PRODUCT | QueryType.PRODUCT_PRODUCT:
                product, color = _other(len(PRODUCTS), product, rng), ANY
            case QueryType.RECOLOR:
                own = [COLORS.index(name) for name in colors_of(PATTERNS[pattern])]
                color = rng.choice([other for other in own if other != color])
            case QueryType.REPATTERN:
                pattern, color = _other(len(PATTERNS), pattern, rng), ANY
            case QueryType.TEXT if rng.random() > _COLOR_NAMED:
                color = ANY
            case _:
                pass
        wish = Target(PRODUCTS[product], PATTERNS[pattern], None if color == ANY else COLORS[color])
        return Wanted(kind, None if kind is QueryType.TEXT else row, sentence(kind, wish, rng), product, pattern, color)


def _other(count: int, taken: int, rng: Random) -> int:
    return rng.choice([number for number in range(count) if number != taken])
