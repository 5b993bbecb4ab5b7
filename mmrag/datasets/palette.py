"""RGB colors in 0..255 and their mixtures."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CREAM", "RGB", "Color", "Field", "Paint", "blend", "darken", "jitter", "lighten", "mix"]

Color = tuple[float, float, float]
Field = NDArray[np.floating[Any]]  # float32 when drawing
Paint = Callable[[Field, Field, float], Field]
"""``paint(x, y, pixel)``: coordinates (h, w) and the width of a pixel in their unit -> colors (h, w, 3)."""

CREAM: Color = (250, 246, 236)

RGB: dict[str, Color] = {
    "red": (204, 44, 50), "blue": (48, 98, 206), "green": (58, 148, 80), "yellow": (244, 204, 54),
    "pink": (242, 136, 178), "purple": (128, 78, 184), "orange": (242, 134, 44), "black": (44, 44, 50),
    "brown": (128, 82, 50), "grey": (150, 153, 160), "tan": (216, 180, 124),
}  # fmt: skip


def mix(one: Color, other: Color, share: float) -> Color:
    """Mix two colors; ``share`` (0..1) is the part of the second.

    Examples
    --------
    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100.0, 50.0, 25.0)
    """
    (r1, g1, b1), (r2, g2, b2) = one, other
    keep = 1 - share
    return (r1 * keep + r2 * share, g1 * keep + g2 * share, b1 * keep + b2 * share)


def darken(color: Color, share: float) -> Color:
    """Mix a color with black."""
    return mix(color, (0, 0, 0), share)


def lighten(color: Color, share: float) -> Color:
    """Mix a color with white."""
    return mix(color, (255, 255, 255), share)


def jitter(color: Color, rng: Random, reach: float = 10) -> Color:
    """Shift each channel at random by up to ``reach``."""
    red, green, blue = (min(255.0, max(0.0, c + rng.uniform(-reach, reach))) for c in color)
    return (red, green, blue)


def blend(under: Color | Field, over: Color, cover: Field) -> Field:
    """Composite a color over others with opacity ``cover``, (h, w) in 0..1; returns (h, w, 3)."""
    below = np.asarray(under, np.float32)
    return below + (np.asarray(over, np.float32) - below) * cover[..., None]
