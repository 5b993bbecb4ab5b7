"""Colors as red, green and blue in 0..255, and how they mix. A paint gives each point a color."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CREAM", "RGB", "Color", "Field", "Paint", "blend", "darker", "jittered", "lighter", "mix"]

Color = tuple[float, float, float]
Field = NDArray[np.floating[Any]]  # float32 when drawing
Paint = Callable[[Field, Field, float], Field]
"""``paint(x, y, pixel)``: (h, w) coordinates, a pixel's width in their unit -> (h, w, 3)."""

CREAM: Color = (250, 246, 236)

RGB: dict[str, Color] = {
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


def mix(one: Color, other: Color, share: float) -> Color:
    """Mix two colors; ``share`` is the part of the second.

    Examples
    --------
    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100.0, 50.0, 25.0)
    """
    (r1, g1, b1), (r2, g2, b2) = one, other
    keep = 1 - share
    return (r1 * keep + r2 * share, g1 * keep + g2 * share, b1 * keep + b2 * share)


def darker(color: Color, share: float) -> Color:
    """Mix with black."""
    return mix(color, (0, 0, 0), share)


def lighter(color: Color, share: float) -> Color:
    """Mix with white."""
    return mix(color, (255, 255, 255), share)


def jittered(color: Color, dice: Random, reach: float = 10) -> Color:
    """Move each channel a little, as dyes differ."""
    red, green, blue = (min(255.0, max(0.0, c + dice.uniform(-reach, reach))) for c in color)
    return (red, green, blue)


def blend(under: Color | Field, over: Color, cover: Field) -> Field:
    """Lay a color over others where ``cover`` is 1; (h, w) in 0..1 -> (h, w, 3)."""
    below = np.asarray(under, np.float32)
    return below + (np.asarray(over, np.float32) - below) * cover[..., None]
