"""Sampling of queries from training images, and of images that answer them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from examples.train_demo_models.training_images import SWATCH, ImageAttributes, TrainingImages
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS, Target, colors_of
from mmrag.datasets.wording import QueryType, sentence

__all__ = ["ANY", "SHARES", "SampledQuery", "Sampler", "Shares", "grades"]

ANY = -1
"""The color number of a query that leaves the color free."""

Shares = Mapping[QueryType, float]
"""How often each query_type of query is drawn."""

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
class SampledQuery:
    """A query in numbers, its sentence, and the row of the image image_type it (None: text alone)."""

    query_type: QueryType
    row: int | None
    text: str
    product: int
    pattern: int
    color: int


def grades(query: SampledQuery, attributes: ImageAttributes) -> NDArray[np.int64]:
    """Grade images 3 (exact), 2 (partial, right product), 1 (partial, wrong product) or 0."""
    wrong_product = attributes.product != query.product
    missed = wrong_product.astype(np.int64) + (attributes.pattern != query.pattern)
    if query.color != ANY:
        missed = missed + (attributes.color != query.color)
    return np.where(missed == 0, 3, np.where(missed > 1, 0, np.where(wrong_product, 1, 2)))


class Sampler:
    """Samples queries from training images, and images that answer them."""

    def __init__(self, training_images: TrainingImages) -> None:
        self.training_images = training_images
        self._rows: dict[tuple[str, int, int, int], list[int]] = defaultdict(list)
        attributes = training_images.attributes
        rows = zip(attributes.product, attributes.pattern, attributes.color, strict=True)
        for row, (product, pattern, color) in enumerate(rows):
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

    def sample_query(self, rng: Random, shares: Shares = SHARES) -> SampledQuery:
        """Draw a query of any query_type that some other image fulfils."""
        query_type = rng.choices(list(shares), list(shares.values()))[0]
        while True:
            query = self._draw(query_type, rng)
            if any(row != query.row for row in self._exact_matches(query)[:2]):
                return query

    def exact_match(self, query: SampledQuery, rng: Random) -> int:
        """Draw an image that fulfils a query, other than the one image_type it."""
        while True:
            row = rng.choice(self._exact_matches(query))
            if row != query.row:
                return row

    def partial_match(self, query: SampledQuery, rng: Random) -> int:
        """Draw the right product in any pattern, or the right pattern on any product."""
        item = ("item", query.product, ANY, ANY)
        pattern = ("print", ANY, query.pattern, ANY)
        return rng.choice(self._rows[item if rng.random() < 0.5 else pattern])

    def near(self, query: SampledQuery, closeness: float, rng: np.random.Generator) -> int:
        """Draw an image that has each attribute of a query with probability ``closeness``."""

        def maybe(attribute: int, names: int) -> int:
            return attribute if rng.random() < closeness else int(rng.integers(names))

        while True:
            pair = maybe(query.product, len(PRODUCTS)), maybe(query.pattern, len(PATTERNS))
            keep_color = query.color != ANY and rng.random() < closeness
            rows = self._rows.get(("all", *pair, query.color if keep_color else ANY))
            if rows:  # a held-out pair has none
                return rows[rng.integers(len(rows))]

    def _exact_matches(self, query: SampledQuery) -> list[int]:
        return self._rows.get(("all", query.product, query.pattern, query.color), [])

    def _draw(self, query_type: QueryType, rng: Random) -> SampledQuery:
        image_type = "swatch" if query_type is QueryType.SWATCH_PRODUCT else "product"
        row = rng.choice(self._rows[image_type, ANY, ANY, ANY])
        product = int(self.training_images.attributes.product[row])
        pattern = int(self.training_images.attributes.pattern[row])
        color = int(self.training_images.attributes.color[row])
        match query_type:
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
        target = Target(PRODUCTS[product], PATTERNS[pattern], None if color == ANY else COLORS[color])
        return SampledQuery(
            query_type,
            None if query_type is QueryType.TEXT else row,
            sentence(query_type, target, rng),
            product,
            pattern,
            color,
        )


def _other(count: int, taken: int, rng: Random) -> int:
    return rng.choice([number for number in range(count) if number != taken])
