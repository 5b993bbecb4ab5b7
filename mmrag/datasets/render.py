"""Draws the catalog's images.

In: product, pattern, color, seed. Out: the same RGB image every time.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from mmrag.errors import MMRagError

from .attributes import PATTERNS, PRODUCTS
from .canvas import Canvas, Pose
from .look import Look
from .palette import RGB, Color, Field, Paint
from .patterns import ANIMALS, paint_of
from .products import DRAWERS

__all__ = ["draw_product", "draw_swatch"]

_STIFF = frozenset({"phone case", "watch", "notebook", "cushion", "sneaker"})  # lie at any angle
_ONE_SIDED = frozenset({"notebook", "watch"})  # rings left, crown right
_WALLS: tuple[Color, ...] = (
    (252, 251, 248),
    (246, 246, 248),
    (240, 236, 230),
    (226, 236, 243),
    (243, 231, 231),
    (231, 241, 232),
    (250, 244, 228),
    (222, 220, 224),
)


def draw_product(product: str, pattern: str, color: str, seed: int | str, size: int = 192) -> Image.Image:
    """Draw a product in a pattern and color; the seed decides pose, tones, background and details.

    Examples
    --------
    >>> image = draw_product("mug", "zebra", "black", seed=7, size=64)
    >>> image.size, image == draw_product("mug", "zebra", "black", seed=7, size=64)
    ((64, 64), True)
    """
    _check(product, PRODUCTS)
    _check(pattern, PATTERNS)
    _check(color, RGB)
    dice = Random(f"{product}|{pattern}|{color}|{seed}")
    paint = paint_of(pattern, color, dice, scale=dice.uniform(0.9, 1.2))
    look = Look.made(pattern, color, paint, dice)
    lean = 20 if product in _STIFF else 9
    canvas = Canvas(size, Pose.thrown(dice, lean, may_mirror=product not in _ONE_SIDED))
    DRAWERS[product](canvas, look, dice)
    scene = _background(size, dice) * (1 - 0.4 * _shadow(canvas.cover))[..., None]
    scene = scene * (1 - canvas.cover)[..., None] + canvas.rgb
    return _image(scene * dice.uniform(0.94, 1.04))


def draw_swatch(pattern: str, color: str, seed: int | str, size: int = 192) -> Image.Image:
    """Draw the pattern alone: a close-up of fur for an animal's, a draped cloth for any other.

    Examples
    --------
    >>> draw_swatch("leopard", "tan", seed=1, size=64).size
    (64, 64)
    """
    _check(pattern, PATTERNS)
    _check(color, RGB)
    dice = Random(f"swatch|{pattern}|{color}|{seed}")
    paint = paint_of(pattern, color, dice, scale=dice.uniform(1.15, 2.0))
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(at, at)
    draw = _fur if pattern in ANIMALS else _cloth
    return _image(draw(paint, x, y, dice) * dice.uniform(0.95, 1.04))


def _check(name: str, known: Collection[str]) -> None:
    if name not in known:
        raise MMRagError(f"The catalog has no {name!r}. Use one of: {', '.join(known)}")


def _fur(paint: Paint, x: Field, y: Field, dice: Random) -> Field:
    size = len(x)
    hairs = _hairs(size, dice)  # in about -1..1, long in the direction of growth
    colors = paint(x + hairs * 0.006, y + hairs * 0.016, 1 / size)
    light = 1.1 - 0.35 * ((x - dice.uniform(0.3, 0.6)) ** 2 + (y - dice.uniform(0.3, 0.6)) ** 2)
    return colors * (light * (1 + 0.16 * hairs))[..., None]


def _cloth(paint: Paint, x: Field, y: Field, dice: Random) -> Field:
    size = len(x)
    across, down, start = dice.uniform(0.4, 1), dice.uniform(-0.8, 0.8), dice.uniform(0, 6)
    along = (x * across + y * down) * dice.uniform(5, 10) + start
    fold, ripple = np.sin(along), np.sin(along * 2.3 + 4 * y)
    colors = paint(x + 0.012 * fold, y + 0.008 * ripple, 1 / size)
    weave = np.sin(x * 300) * np.sin(y * 300)
    return colors * (1 + 0.1 * fold + 0.05 * ripple + 0.03 * weave)[..., None]


def _hairs(size: int, dice: Random) -> Field:
    grains = np.random.default_rng(dice.getrandbits(64)).random((max(8, size // 5), size))
    speckle = Image.fromarray(grains.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    return (np.asarray(speckle) - 0.5) * 2


def _background(size: int, dice: Random) -> Field:
    wall = np.asarray(dice.choice(_WALLS), np.float32) * dice.uniform(0.93, 1.0)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = at[None, :] - dice.uniform(0.3, 0.7), at[:, None] - dice.uniform(0.2, 0.5)
    light = 1.02 - 0.14 * (x * x + y * y)
    if dice.random() < 0.45:
        light = light * (1 - 0.07 * (at > dice.uniform(0.66, 0.8)))[:, None]  # the table's edge
    return light[..., None] * wall


def _shadow(cover: Field) -> Field:
    size = len(cover)
    right, down = round(size * 0.018), round(size * 0.03)
    cast = np.zeros((size, size), np.uint8)
    cast[down:, right:] = (cover[: size - down, : size - right] * 255).astype(np.uint8)
    blurred = Image.fromarray(cast).filter(ImageFilter.BoxBlur(size * 0.03))
    return np.asarray(blurred, np.float32) / 255


def _image(scene: Field) -> Image.Image:
    return Image.fromarray(np.clip(scene + 0.5, 0, 255).astype(np.uint8))
