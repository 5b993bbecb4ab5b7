"""A drawn product catalogue, deterministic by seed: pictures, queries, and what answers what."""

from __future__ import annotations

from .attributes import COLOURS, HELD_OUT, PATTERNS, PRODUCTS, colours_of
from .catalog import Item, plan_catalogue, read_catalogue, write_catalogue
from .depiction import Depiction
from .judging import qrels, write_queries
from .queries import EVERYTHING, DrawnQuery, Shelf, make_query, queries
from .relevance import GRADE_NAMES, Wish
from .render import draw_product, draw_swatch
from .studio import draw_files
from .wording import Kind, vocabulary

__all__ = [
    "COLOURS",
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
    "colours_of",
    "draw_files",
    "draw_product",
    "draw_swatch",
    "make_query",
    "plan_catalogue",
    "qrels",
    "queries",
    "read_catalogue",
    "vocabulary",
    "write_catalogue",
    "write_queries",
]
