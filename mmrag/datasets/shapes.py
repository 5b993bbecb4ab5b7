"""Outlines of parts: polygons in the unit square, y down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outline", "arc", "circle", "curve", "ellipse", "mirrored", "polygon", "rounded", "smooth", "stroke"]

Outline = NDArray[np.float64]  # points, (n, 2)
Points = Sequence[tuple[float, float] | Outline] | Outline


def polygon(points: Points) -> Outline:
    """Connect points by straight lines."""
    return np.asarray(points, np.float64)


def smooth(points: Points) -> Outline:
    """Connect points by a closed smooth line (Catmull-Rom spline)."""
    p = polygon(points)
    return _catmull_rom(np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0))


def curve(points: Points) -> Outline:
    """Connect points by an open smooth line (Catmull-Rom spline)."""
    p = polygon(points)
    before, after = np.vstack([p[:1], p[:-2]]), np.vstack([p[2:], p[-1:]])
    return np.vstack([_catmull_rom(before, p[:-1], p[1:], after), p[-1:]])


def arc(center: tuple[float, float], radii: tuple[float, float], start: float, end: float) -> Outline:
    """Draw part of an ellipse between two angles in degrees (0 is right, 90 is down)."""
    return _unit_circle(np.radians(np.linspace(start, end, 25))) * radii + center


def ellipse(center: tuple[float, float], radii: tuple[float, float]) -> Outline:
    """Draw an ellipse."""
    return _unit_circle(np.linspace(0, 2 * np.pi, 40, endpoint=False)) * radii + center


def circle(x: float, y: float, radius: float) -> Outline:
    """Draw a circle."""
    return ellipse((x, y), (radius, radius))


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> Outline:
    """Draw a rectangle with rounded corners."""
    corner = _unit_circle(np.radians(np.linspace(180, 540, 32, endpoint=False) + 360 / 64))
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    straight = np.array([(right - left) / 2, (bottom - top) / 2]) - radius
    return middle + np.sign(corner) * straight + corner * radius


def stroke(points: Points, width: float) -> Outline:
    """Draw the outline of a line with round ends."""
    p = polygon(points)
    direction = np.vstack([p[1:2] - p[0], p[2:] - p[:-2], p[-1:] - p[-2]])
    direction /= np.hypot(direction[:, :1], direction[:, 1:])
    beside = np.stack([-direction[:, 1], direction[:, 0]], 1) * width / 2
    cap = np.linspace(0, np.pi, 8)[1:-1, None]
    end = p[-1] + np.cos(cap) * beside[-1] + np.sin(cap) * direction[-1] * width / 2
    start = p[0] - np.cos(cap) * beside[0] - np.sin(cap) * direction[0] * width / 2
    return np.vstack([p + beside, end, (p - beside)[::-1], start])


def mirrored(half: Points) -> Outline:
    """Complete the right half of a symmetric outline, given from top to bottom."""
    right = polygon(half)
    left = right[::-1] * (-1, 1) + (1, 0)
    on_axis = np.isclose(left[:, 0], 0.5)
    return np.vstack([right, left[~on_axis]])


def _unit_circle(angles: NDArray[np.float64]) -> Outline:
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _catmull_rom(before: Outline, start: Outline, end: Outline, after: Outline) -> Outline:
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]  # (1, 8, 1)
    a, b, c, d = (side[:, None] for side in (before, start, end, after))  # (n, 1, 2)
    line = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
    return (0.5 * (line + (3 * b - a - 3 * c + d) * t**3)).reshape(-1, 2)
