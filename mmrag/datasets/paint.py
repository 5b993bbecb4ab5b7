"""Building blocks of paints: blending, smooth noise, lattices of cells, anti-aliased edges, rotation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrag.datasets.attributes import Color

__all__ = ["Field", "Lattice", "LatticePoints", "Paint", "blend", "inside", "noise", "rotate", "wave"]

Field = NDArray[np.floating[Any]]  # float32 when drawing
Paint = Callable[[Field, Field, float], Field]
"""``paint(x, y, pixel)``: coordinates (h, w) and the width of a pixel in their unit -> colors (h, w, 3)."""

_TABLE = 32  # random values repeat after this many cells: far more than any image shows


def blend(under: Color | Field, over: Color, cover: Field) -> Field:
    """Composite a color over others with opacity ``cover``, (h, w) in 0..1; returns (h, w, 3)."""
    below = np.asarray(under, np.float32)
    return below + (np.asarray(over, np.float32) - below) * cover[..., None]


def inside(distance: Field, pixel: float) -> Field:
    """Convert the signed distance to an edge (positive inside) to coverage 0..1, with 1.5 pixels of anti-aliasing."""
    return np.clip(distance / (1.5 * pixel) + 0.5, 0, 1)


def wave(phase: Field) -> Field:
    """Compute the sine of a phase in turns."""
    return np.sin(phase * np.float32(2 * math.pi))


def rotate(paint: Paint, degrees: float, scale: float, rng: Random) -> Paint:
    """Rotate and scale a paint, with a random offset."""
    cos, sin = math.cos(math.radians(degrees)) / scale, math.sin(math.radians(degrees)) / scale
    right, down = rng.uniform(2, 6), rng.uniform(2, 6)
    return lambda x, y, pixel: paint(x * cos + y * sin + right, y * cos - x * sin + down, pixel / scale)


def noise(rng: Random, frequency: float) -> Callable[[Field, Field], Field]:
    """Create a function of smooth random values in 0..1 with about ``frequency`` bumps per unit."""
    values = np.random.default_rng(rng.getrandbits(64)).random((_TABLE, _TABLE)).astype(np.float32).ravel()

    def interpolate(x: Field, y: Field) -> Field:
        column, across = _split(x * frequency)
        row, down = _split(y * frequency)
        across, down = (share * share * (3 - 2 * share) for share in (across, down))
        column, right = column % _TABLE, (column + 1) % _TABLE
        row, below = row % _TABLE * _TABLE, (row + 1) % _TABLE * _TABLE
        top, bottom = values[row + column], values[below + column]
        top = top + (values[row + right] - top) * across
        bottom = bottom + (values[below + right] - bottom) * across
        return top + (bottom - top) * down

    return interpolate


@dataclass(frozen=True)
class LatticePoints:
    """Coordinates of points within their lattice cells, in steps from the cell's center, and random values per cell."""

    u: Field
    v: Field
    randoms: Field  # (h, w, 4) in 0..1

    def uniform(self, index: int, low: float, high: float) -> Field:
        """Return a random value per cell, the same for all points of a cell; ``index`` is 0..3."""
        return low + (high - low) * self.randoms[..., index]


class Lattice:
    """Rows of cells, every other row shifted by half a step; motifs of a radius below 0.43 steps fit."""

    row_height = 0.87

    def __init__(self, rng: Random, step: float):
        randoms = np.random.default_rng(rng.getrandbits(64)).random((_TABLE * _TABLE, 4))
        self._randoms = randoms.astype(np.float32)
        self.step = step

    def __call__(self, x: Field, y: Field) -> LatticePoints:
        """Locate each point in its cell."""
        row, down = _split(y / (self.step * self.row_height))
        column, across = _split(x / self.step + (row % 2) * np.float32(0.5))
        randoms = self._randoms[row % _TABLE * _TABLE + column % _TABLE]  # (h, w, 4)
        return LatticePoints(across - 0.5, (down - 0.5) * self.row_height, randoms)


def _split(values: Field) -> tuple[NDArray[np.int32], Field]:
    whole = np.floor(values)
    return whole.astype(np.int32), values - whole
