"""A drawn product catalog, deterministic by seed: images, queries, and what answers what."""

from __future__ import annotations

from .attributes import COLORS, HELD_OUT, PATTERNS, PRODUCTS, colors_of
from .catalog import Item, plan_catalog, read_catalog, write_catalog
from .depiction import Depiction
from .judging import qrels, write_queries
from .queries import EVERYTHING, DrawnQuery, Shelf, make_query, queries
from .relevance import GRADE_NAMES, Wish
from .render import draw_product, draw_swatch
from .studio import draw_files
from .wording import Kind, vocabulary

__all__ = [
    "COLORS",
    "EVERYTHING",
    "GRADE_NAMES",
    "HELD_OUT",
    "PATTERNS",
    "PRODUCTS",
    "Depiction",
    "DrawnQuery",
    "Item",
    "Kind",
    "Shelf",
    "Wish",
    "colors_of",
    "draw_files",
    "draw_product",
    "draw_swatch",
    "make_query",
    "plan_catalog",
    "qrels",
    "queries",
    "read_catalog",
    "vocabulary",
    "write_catalog",
    "write_queries",
]
