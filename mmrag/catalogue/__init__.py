"""A drawn product catalogue, deterministic by seed: pictures, queries, and what answers what."""

from __future__ import annotations

from .attributes import COLOURS, HELD_OUT, PATTERNS, PRODUCTS, colours_of
from .drawing import draw_product, draw_swatch

__all__ = [
    "COLOURS",
    "HELD_OUT",
    "PATTERNS",
    "PRODUCTS",
    "colours_of",
    "draw_product",
    "draw_swatch",
]
