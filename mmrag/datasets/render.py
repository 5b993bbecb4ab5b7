"""Drawing of product images and swatches, deterministic by seed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from mmrag.datasets.attributes import PATTERNS, PRODUCTS, RGB, Color
from mmrag.datasets.canvas import Canvas, Materials, Pose
from mmrag.datasets.paint import Field, Paint
from mmrag.datasets.patterns import ANIMALS, make_paint
from mmrag.datasets.products import DRAWERS
from mmrag.errors import MMRagError

__all__ = ["ImageSpec", "draw_product", "draw_swatch"]

_STIFF = frozenset({"phone case", "watch", "notebook", "cushion", "sneaker"})  # may be tilted further
_NEVER_MIRRORED = frozenset({"notebook", "watch"})  # rings left, crown right
_WALLS: tuple[Color, ...] = (
    (252, 251, 248), (246, 246, 248), (240, 236, 230), (226, 236, 243),
    (243, 231, 231), (231, 241, 232), (250, 244, 228), (222, 220, 224),
)  # fmt: skip


@dataclass(frozen=True)
class ImageSpec:
    """Arguments of a drawing: a product, or a swatch if ``product`` is None."""

    product: str | None
    pattern: str
    color: str
    seed: str

    def draw(self, size: int = 192) -> Image.Image:
        """Draw the image, the same one every time."""
        if self.product is None:
            return draw_swatch(self.pattern, self.color, self.seed, size)
        return draw_product(self.product, self.pattern, self.color, self.seed, size)


def draw_product(product: str, pattern: str, color: str, seed: int | str, size: int = 192) -> Image.Image:
    """Draw a product in a pattern and color; pose, tones, background and details follow from the seed.

    Parameters
    ----------
    product, pattern, color : str
        Names of `PRODUCTS`, `PATTERNS` and `COLORS`.
    seed : int or str
        Equal arguments give equal pixels, in every process.
    size : int, optional
        Width and height in pixels. Default: 192.

    Raises
    ------
    MMRagError
        If a name is unknown.
    """
    _check_names((product, PRODUCTS), (pattern, PATTERNS), (color, RGB))
    rng = Random(f"{product}|{pattern}|{color}|{seed}")
    paint = make_paint(pattern, color, rng, scale=rng.uniform(0.9, 1.2))
    materials = Materials.choose(pattern, color, paint, rng)
    lean = 20 if product in _STIFF else 9
    canvas = Canvas(size, Pose.sample(rng, lean, may_mirror=product not in _NEVER_MIRRORED))
    DRAWERS[product](canvas, materials, rng)
    scene = _background(size, rng) * (1 - 0.4 * _shadow(canvas.cover))[..., None]
    scene = scene * (1 - canvas.cover)[..., None] + canvas.rgb
    return _to_image(scene * rng.uniform(0.94, 1.04))


def draw_swatch(pattern: str, color: str, seed: int | str, size: int = 192) -> Image.Image:
    """Draw the pattern alone: a close-up of fur for animal patterns, a draped cloth for the others."""
    _check_names((pattern, PATTERNS), (color, RGB))
    rng = Random(f"swatch|{pattern}|{color}|{seed}")
    paint = make_paint(pattern, color, rng, scale=rng.uniform(1.15, 2.0))
    pixels = _pixel_centers(size)
    x, y = np.meshgrid(pixels, pixels)
    texture = _fur if pattern in ANIMALS else _cloth
    return _to_image(texture(paint, x, y, rng) * rng.uniform(0.95, 1.04))


def _check_names(*names: tuple[str, Collection[str]]) -> None:
    for name, known in names:
        if name not in known:
            raise MMRagError(f"The catalog has no {name!r}. Use one of: {', '.join(known)}")


def _fur(paint: Paint, x: Field, y: Field, rng: Random) -> Field:
    size = len(x)
    grains = np.random.default_rng(rng.getrandbits(64)).random((max(8, size // 5), size))
    speckle = Image.fromarray(grains.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    hairs = (np.asarray(speckle) - 0.5) * 2  # in about -1..1, long in the direction of growth
    colors = paint(x + hairs * 0.006, y + hairs * 0.016, 1 / size)
    light = 1.1 - 0.35 * ((x - rng.uniform(0.3, 0.6)) ** 2 + (y - rng.uniform(0.3, 0.6)) ** 2)
    return colors * (light * (1 + 0.16 * hairs))[..., None]


def _cloth(paint: Paint, x: Field, y: Field, rng: Random) -> Field:
    size = len(x)
    across, down, start = rng.uniform(0.4, 1), rng.uniform(-0.8, 0.8), rng.uniform(0, 6)
    along = (x * across + y * down) * rng.uniform(5, 10) + start
    fold, ripple = np.sin(along), np.sin(along * 2.3 + 4 * y)
    colors = paint(x + 0.012 * fold, y + 0.008 * ripple, 1 / size)
    weave = np.sin(x * 300) * np.sin(y * 300)
    return colors * (1 + 0.1 * fold + 0.05 * ripple + 0.03 * weave)[..., None]


def _background(size: int, rng: Random) -> Field:
    wall = np.asarray(rng.choice(_WALLS), np.float32) * rng.uniform(0.93, 1.0)
    pixels = _pixel_centers(size)
    x, y = pixels[None, :] - rng.uniform(0.3, 0.7), pixels[:, None] - rng.uniform(0.2, 0.5)
    light = 1.02 - 0.14 * (x * x + y * y)
    if rng.random() < 0.45:
        light = light * (1 - 0.07 * (pixels > rng.uniform(0.66, 0.8)))[:, None]  # edge of the table
    return light[..., None] * wall


def _shadow(cover: Field) -> Field:
    size = len(cover)
    right, down = round(size * 0.018), round(size * 0.03)
    cast = (np.pad(cover, ((down, 0), (right, 0)))[:size, :size] * 255).astype(np.uint8)
    blurred = Image.fromarray(cast).filter(ImageFilter.BoxBlur(size * 0.03))
    return np.asarray(blurred, np.float32) / 255


def _pixel_centers(size: int) -> Field:
    return (np.arange(size, dtype=np.float32) + 0.5) / size


def _to_image(scene: Field) -> Image.Image:
    return Image.fromarray(np.clip(scene + 0.5, 0, 255).astype(np.uint8))
