"""Fields over the plane that patterns are made of: smooth noise, a lattice of cells, soft edges."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from numpy.typing import NDArray

from .palette import Field, Paint

__all__ = ["Cell", "Lattice", "Noise", "inside", "turned", "wave"]

_TABLE = 32  # fields repeat after this many cells: far more than any image shows


def inside(distance: Field, pixel: float) -> Field:
    """Cover 0..1 from the signed distance to an edge (positive inside), 1.5 pixels soft."""
    return np.clip(distance / (1.5 * pixel) + 0.5, 0, 1)


def wave(phase: Field) -> Field:
    """Sine of a phase counted in turns."""
    return np.sin(phase * np.float32(2 * math.pi))


def turned(paint: Paint, degrees: float, scale: float, dice: Random) -> Paint:
    """Turn a paint, enlarge it, and let it start anywhere."""
    cos, sin = math.cos(math.radians(degrees)) / scale, math.sin(math.radians(degrees)) / scale
    right, down = dice.uniform(2, 6), dice.uniform(2, 6)

    def turned_paint(x: Field, y: Field, pixel: float) -> Field:
        return paint(x * cos + y * sin + right, y * cos - x * sin + down, pixel / scale)

    return turned_paint


class Noise:
    """Smooth random values in 0..1 with about ``frequency`` bumps a unit."""

    def __init__(self, dice: Random, frequency: float):
        table = np.random.default_rng(dice.getrandbits(64)).random((_TABLE, _TABLE))
        self._values = table.astype(np.float32).ravel()
        self._frequency = frequency

    def __call__(self, x: Field, y: Field) -> Field:
        """Give the value at each point."""
        column, across = _whole_and_rest(x * self._frequency)
        row, down = _whole_and_rest(y * self._frequency)
        across, down = _eased(across), _eased(down)
        column, right = column % _TABLE, (column + 1) % _TABLE
        row, below = row % _TABLE * _TABLE, (row + 1) % _TABLE * _TABLE
        values = self._values
        top, bottom = values[row + column], values[below + column]
        top = top + (values[row + right] - top) * across
        bottom = bottom + (values[below + right] - bottom) * across
        return top + (bottom - top) * down


class Cell:
    """Where each point lies in its cell, in steps from the center, and the cell's own chances."""

    def __init__(self, u: Field, v: Field, chances: Field):
        self.u, self.v = u, v
        self._chances = chances

    def uniform(self, which: int, low: float, high: float) -> Field:
        """One chance of the cell, the same at all of its points; ``which`` is 0..3."""
        return low + (high - low) * self._chances[..., which]

    def turned(self, angle: Field) -> tuple[Field, Field]:
        """Turn the cell's coordinates by an angle in radians."""
        cos, sin = np.cos(angle), np.sin(angle)
        return self.u * cos + self.v * sin, self.v * cos - self.u * sin


class Lattice:
    """Rows of cells, each half a step beside the last: motifs of a radius below 0.43 steps fit."""

    row_height = 0.87

    def __init__(self, dice: Random, step: float):
        chances = np.random.default_rng(dice.getrandbits(64)).random((_TABLE * _TABLE, 4))
        self._chances = chances.astype(np.float32)
        self.step = step

    def __call__(self, x: Field, y: Field) -> Cell:
        """Find the cell of each point."""
        row, down = _whole_and_rest(y / (self.step * self.row_height))
        column, across = _whole_and_rest(x / self.step + (row % 2) * np.float32(0.5))
        chances = self._chances[row % _TABLE * _TABLE + column % _TABLE]  # (h, w, 4)
        return Cell(across - 0.5, (down - 0.5) * self.row_height, chances)


def _whole_and_rest(values: Field) -> tuple[NDArray[np.int32], Field]:
    whole = np.floor(values)
    return whole.astype(np.int32), values - whole


def _eased(share: Field) -> Field:
    return share * share * (3 - 2 * share)
