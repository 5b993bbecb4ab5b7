"""A drawn product catalog with composed queries and graded answers, deterministic by seed."""

from __future__ import annotations

from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS, Target, colors_of
from mmrag.datasets.catalog import Item, plan_catalog, read_catalog, write_catalog
from mmrag.datasets.queries import ALL_PAIRS, AttributePairs, DrawnQuery, make_query, qrels, queries, write_queries
from mmrag.datasets.render import ImageSpec, draw_product, draw_swatch
from mmrag.datasets.wording import QueryType

__all__ = [
    "ALL_PAIRS", "COLORS", "PATTERNS", "PRODUCTS", "AttributePairs", "DrawnQuery", "ImageSpec", "Item", "QueryType",
    "Target", "colors_of", "draw_product", "draw_swatch", "make_query", "plan_catalog", "qrels", "queries",
    "read_catalog", "write_catalog", "write_queries",
]  # fmt: skip
