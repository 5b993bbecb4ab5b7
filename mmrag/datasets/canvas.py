"""A canvas that takes the parts of a product one by one, each painted, bent and lit by its form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .palette import Color, Field, Paint
from .shapes import Outline

__all__ = ["DRAPED", "FLAT", "FOLDED", "PUFFED", "ROUND", "SOFT", "Canvas", "Form", "Pose"]

_FINE = 3  # outlines are cut this many times finer than pixels


@dataclass(frozen=True)
class Form:
    """How a part lies in the light and bends its cloth, over its own unit square."""

    light: Callable[[Field, Field], Field]
    bend: Callable[[Field, Field], tuple[Field, Field]] = lambda u, v: (u, v)


FLAT = Form(light=lambda u, v: np.ones_like(u))
SOFT = Form(light=lambda u, v: 1.08 - 0.16 * v - 0.06 * u)
ROUND = Form(
    light=lambda u, v: 0.7 + 0.44 * np.sin(math.pi * (0.12 + 0.72 * u)),
    bend=lambda u, v: (0.5 + 0.42 * np.arcsin(1.96 * u - 0.98), v + 0.05 * (1 - (2 * u - 1) ** 2)),
)
FOLDED = Form(
    light=lambda u, v: 1.04 + 0.07 * np.sin(u * 17 + v * 3) - 0.1 * v,
    bend=lambda u, v: (u + 0.012 * np.sin(u * 17 + v * 3), v + 0.012 * np.sin(u * 9)),
)
DRAPED = Form(
    light=lambda u, v: 1.04 + 0.1 * v * np.sin((u - 0.5) * 24) - 0.08 * v,
    bend=lambda u, v: (0.5 + (u - 0.5) * (1.25 - 0.35 * v), v + 0.02 * np.sin((u - 0.5) * 24)),
)
PUFFED = Form(
    light=lambda u, v: 0.82 + 0.28 * np.sin(math.pi * u) * np.sin(math.pi * v),
    bend=lambda u, v: (
        u + 0.035 * np.sin(2 * math.pi * u) * np.sin(math.pi * v),
        v + 0.035 * np.sin(2 * math.pi * v) * np.sin(math.pi * u),
    ),
)


@dataclass(frozen=True)
class Pose:
    """Where the unit square of a product comes to lie on the unit square of the image."""

    matrix: np.ndarray  # (2, 2)
    middle: tuple[float, float]

    @classmethod
    def thrown(cls, dice: Random, lean: float, may_mirror: bool) -> Pose:
        """Throw a pose: up to ``lean`` degrees, scaled, sheared a little, perhaps mirrored."""
        angle, scale = math.radians(dice.uniform(-lean, lean)), dice.uniform(0.76, 0.96)
        stretch, shear = dice.uniform(0.95, 1.05), dice.uniform(-0.05, 0.05)
        mirror = -1 if may_mirror and dice.random() < 0.5 else 1
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = scale * turn @ np.array([[mirror * stretch, shear], [0.0, 1 / stretch]])
        room = (1.02 - scale) / 2
        return cls(matrix, (0.5 + dice.uniform(-room, room), 0.5 + dice.uniform(-room, room)))

    def place(self, points: Outline) -> Outline:
        """Bring points of the product onto the image."""
        return (points - 0.5) @ self.matrix.T + self.middle

    def product_coordinates(self, size: int) -> tuple[Field, Field]:
        """Which point of the product each pixel shows: two fields (size, size)."""
        (a, b), (c, d) = np.linalg.inv(self.matrix).astype(np.float32)
        at = (np.arange(size, dtype=np.float32) + 0.5) / size
        x, y = (at - self.middle[0])[None, :], (at - self.middle[1])[:, None]
        return a * x + b * y + np.float32(0.5), c * x + d * y + np.float32(0.5)


class Canvas:
    """Colors (multiplied by cover) and cover of the product drawn so far.

    Attributes
    ----------
    rgb
        (size, size, 3) in 0..255, black where nothing is drawn.
    cover
        (size, size) in 0..1.
    """

    def __init__(self, size: int, pose: Pose):
        self.size, self.pose = size, pose
        self.rgb = np.zeros((size, size, 3), np.float32)
        self.cover = np.zeros((size, size), np.float32)
        self._x, self._y = pose.product_coordinates(size)
        self._pixel = 1 / (size * math.sqrt(abs(np.linalg.det(pose.matrix))))

    def part(self, outline: Outline, paint: Paint | Color, form: Form = FLAT, edge: float = 0.34) -> None:
        """Lay one part over the others; ``edge`` says how much its rim darkens."""
        placed = self.pose.place(outline) * self.size
        margin = self.size * 0.03
        left, top = np.maximum(placed.min(0) - margin, 0).astype(int)
        right, bottom = np.minimum(placed.max(0) + margin + 1, self.size).astype(int)
        if left >= right or top >= bottom:
            return
        here = (slice(top, bottom), slice(left, right))
        mask = _filled(placed - (left, top), right - left, bottom - top)
        cover = np.asarray(mask, np.float32) / 255
        colors = self._painted(outline, paint, form, here)
        if edge:
            colors = colors * _rim(mask, edge, self.size)[..., None]
        self.rgb[here] += (colors - self.rgb[here]) * cover[..., None]
        self.cover[here] += (1 - self.cover[here]) * cover

    def _painted(self, outline: Outline, paint: Paint | Color, form: Form, here: tuple[slice, slice]) -> Field:
        (x0, y0), (width, height) = outline.min(0), np.maximum(np.ptp(outline, axis=0), 1e-6)
        u = np.clip((self._x[here] - np.float32(x0)) / np.float32(width), 0, 1)
        v = np.clip((self._y[here] - np.float32(y0)) / np.float32(height), 0, 1)
        light = form.light(u, v)[..., None]
        if not callable(paint):
            return np.asarray(paint, np.float32) * light
        u, v = form.bend(u, v)
        x = u * np.float32(width) + np.float32(x0)
        y = v * np.float32(height) + np.float32(y0)
        return paint(x, y, self._pixel) * light


def _filled(points: Outline, width: int, height: int) -> Image.Image:
    mask = Image.new("L", (int(width) * _FINE, int(height) * _FINE))
    corners = (points * _FINE).ravel().tolist()
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask.reduce(_FINE)


def _rim(mask: Image.Image, edge: float, size: int) -> Field:
    near = np.asarray(mask.filter(ImageFilter.BoxBlur(size * 0.022)), np.float32) / 255
    return 1 - edge + edge * np.clip((near - 0.45) / 0.45, 0, 1)
