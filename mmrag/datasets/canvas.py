"""A canvas on which a product is drawn part by part, with materials, shading and a pose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmrag.datasets.attributes import BLACK, RGB, Color, jitter, mix
from mmrag.datasets.paint import Field, Paint
from mmrag.datasets.shapes import Outline

__all__ = ["DRAPED", "FLAT", "FOLDED", "PUFFED", "ROUND", "SOFT", "Canvas", "Materials", "Pose", "Surface"]

_METALS: tuple[Color, ...] = ((186, 190, 196), (214, 178, 104), (120, 124, 132))
_SUPERSAMPLING = 3


@dataclass(frozen=True)
class Surface:
    """Shading of a part and distortion of its print, both over the part's bounding box scaled to 0..1."""

    shade: Callable[[Field, Field], Field]
    warp: Callable[[Field, Field], tuple[Field, Field]] = lambda u, v: (u, v)


FLAT = Surface(shade=lambda u, v: np.ones_like(u))
SOFT = Surface(shade=lambda u, v: 1.08 - 0.16 * v - 0.06 * u)
ROUND = Surface(
    shade=lambda u, v: 0.7 + 0.44 * np.sin(math.pi * (0.12 + 0.72 * u)),
    warp=lambda u, v: (0.5 + 0.42 * np.arcsin(1.96 * u - 0.98), v + 0.05 * (1 - (2 * u - 1) ** 2)),
)
FOLDED = Surface(
    shade=lambda u, v: 1.04 + 0.07 * np.sin(u * 17 + v * 3) - 0.1 * v,
    warp=lambda u, v: (u + 0.012 * np.sin(u * 17 + v * 3), v + 0.012 * np.sin(u * 9)),
)
DRAPED = Surface(
    shade=lambda u, v: 1.04 + 0.1 * v * np.sin((u - 0.5) * 24) - 0.08 * v,
    warp=lambda u, v: (0.5 + (u - 0.5) * (1.25 - 0.35 * v), v + 0.02 * np.sin((u - 0.5) * 24)),
)
PUFFED = Surface(
    shade=lambda u, v: 0.82 + 0.28 * np.sin(math.pi * u) * np.sin(math.pi * v),
    warp=lambda u, v: (
        u + 0.035 * np.sin(2 * math.pi * u) * np.sin(math.pi * v),
        v + 0.035 * np.sin(2 * math.pi * v) * np.sin(math.pi * u),
    ),
)


@dataclass(frozen=True)
class Materials:
    """Print, main color, trim and metal of a product."""

    print: Paint
    main: Color
    trim: Color
    metal: Color

    @classmethod
    def choose(cls, pattern: str, color: str, print: Paint, rng: Random) -> Materials:
        """Choose trim and metal to go with a print."""
        main = jitter(RGB[color], rng, reach=4)
        if pattern == "tiger":
            main = mix(main, (40, 20, 0), 0.3)
        return cls(print, main, mix(main, BLACK, 0.5), rng.choice(_METALS))


@dataclass(frozen=True)
class Pose:
    """Affine map from the unit square of a product to the unit square of the image."""

    matrix: np.ndarray  # (2, 2)
    center: tuple[float, float]

    @classmethod
    def sample(cls, rng: Random, lean: float, may_mirror: bool) -> Pose:
        """Sample a pose: rotated by up to ``lean`` degrees, scaled, slightly sheared, perhaps mirrored."""
        angle, scale = math.radians(rng.uniform(-lean, lean)), rng.uniform(0.76, 0.96)
        stretch, shear = rng.uniform(0.95, 1.05), rng.uniform(-0.05, 0.05)
        mirror = -1 if may_mirror and rng.random() < 0.5 else 1
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = scale * rotation @ np.array([[mirror * stretch, shear], [0.0, 1 / stretch]])
        room = (1.02 - scale) / 2
        return cls(matrix, (0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room)))

    def to_image(self, points: Outline) -> Outline:
        """Transform points of the product to points of the image."""
        return (points - 0.5) @ self.matrix.T + self.center

    def product_coordinates(self, size: int) -> tuple[Field, Field]:
        """Compute the product coordinates of each pixel: x and y, (size, size) each."""
        (a, b), (c, d) = np.linalg.inv(self.matrix).astype(np.float32)
        pixels = (np.arange(size, dtype=np.float32) + 0.5) / size
        x, y = (pixels - self.center[0])[None, :], (pixels - self.center[1])[:, None]
        return a * x + b * y + np.float32(0.5), c * x + d * y + np.float32(0.5)


class Canvas:
    """Premultiplied colors and coverage of a product."""

    def __init__(self, size: int, pose: Pose):
        self.size, self.pose = size, pose
        self.rgb = np.zeros((size, size, 3), np.float32)  # 0..255, black where nothing is drawn
        self.cover = np.zeros((size, size), np.float32)  # 0..1
        self._x, self._y = pose.product_coordinates(size)
        self._pixel = 1 / (size * math.sqrt(abs(np.linalg.det(pose.matrix))))

    def draw(self, outline: Outline, paint: Paint | Color, surface: Surface = FLAT, edge: float = 0.34) -> None:
        """Draw a part over the others; ``edge`` (0..1) is how much its rim darkens."""
        points = self.pose.to_image(outline) * self.size
        margin = self.size * 0.03
        left, top = np.maximum(points.min(0) - margin, 0).astype(int)
        right, bottom = np.minimum(points.max(0) + margin + 1, self.size).astype(int)
        if left >= right or top >= bottom:
            return
        box = (slice(top, bottom), slice(left, right))
        mask = Image.new("L", (int(right - left) * _SUPERSAMPLING, int(bottom - top) * _SUPERSAMPLING))
        ImageDraw.Draw(mask).polygon(((points - (left, top)) * _SUPERSAMPLING).ravel().tolist(), fill=255)
        mask = mask.reduce(_SUPERSAMPLING)
        cover = np.asarray(mask, np.float32) / 255
        colors = self._shade(outline, paint, surface, box)
        if edge:
            near = np.asarray(mask.filter(ImageFilter.BoxBlur(self.size * 0.022)), np.float32) / 255
            colors = colors * (1 - edge + edge * np.clip((near - 0.45) / 0.45, 0, 1))[..., None]
        self.rgb[box] += (colors - self.rgb[box]) * cover[..., None]
        self.cover[box] += (1 - self.cover[box]) * cover

    def _shade(self, outline: Outline, paint: Paint | Color, surface: Surface, box: tuple[slice, slice]) -> Field:
        (x0, y0), (width, height) = outline.min(0), np.maximum(np.ptp(outline, axis=0), 1e-6)
        u = np.clip((self._x[box] - np.float32(x0)) / np.float32(width), 0, 1)
        v = np.clip((self._y[box] - np.float32(y0)) / np.float32(height), 0, 1)
        light = surface.shade(u, v)[..., None]
        if not callable(paint):
            return np.asarray(paint, np.float32) * light
        u, v = surface.warp(u, v)
        x = u * np.float32(width) + np.float32(x0)
        y = v * np.float32(height) + np.float32(y0)
        return paint(x, y, self._pixel) * light
