"""Colours as red, green and blue in 0..255, and how they mix. A paint gives each point a colour."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CREAM", "RGB", "Colour", "Field", "Paint", "blend", "darker", "jittered", "lighter", "mix"]

Colour = tuple[float, float, float]
Field = NDArray[np.floating[Any]]  # float32 when drawing
Paint = Callable[[Field, Field, float], Field]
"""``paint(x, y, pixel)``: (h, w) coordinates, a pixel's width in their unit -> (h, w, 3)."""

CREAM: Colour = (250, 246, 236)

RGB: dict[str, Colour] = {
    "red": (204, 44, 50),
    "blue": (48, 98, 206),
    "green": (58, 148, 80),
    "yellow": (244, 204, 54),
    "pink": (242, 136, 178),
    "purple": (128, 78, 184),
    "orange": (242, 134, 44),
    "black": (44, 44, 50),
    "brown": (128, 82, 50),
    "grey": (150, 153, 160),
    "tan": (216, 180, 124),
}


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Mix two colours; ``share`` is the part of the second.

    Examples
    --------
    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100.0, 50.0, 25.0)
    """
    (r1, g1, b1), (r2, g2, b2) = one, other
    keep = 1 - share
    return (r1 * keep + r2 * share, g1 * keep + g2 * share, b1 * keep + b2 * share)


def darker(colour: Colour, share: float) -> Colour:
    """Mix with black."""
    return mix(colour, (0, 0, 0), share)


def lighter(colour: Colour, share: float) -> Colour:
    """Mix with white."""
    return mix(colour, (255, 255, 255), share)


def jittered(colour: Colour, dice: Random, reach: float = 10) -> Colour:
    """Move each channel a little, as dyes differ."""
    red, green, blue = (min(255.0, max(0.0, c + dice.uniform(-reach, reach))) for c in colour)
    return (red, green, blue)


def blend(under: Colour | Field, over: Colour, cover: Field) -> Field:
    """Lay a colour over others where ``cover`` is 1; (h, w) in 0..1 -> (h, w, 3)."""
    below = np.asarray(under, np.float32)
    return below + (np.asarray(over, np.float32) - below) * cover[..., None]
