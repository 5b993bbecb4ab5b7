"""The twelve patterns as paints."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np

from mmrag.datasets.attributes import BLACK, CREAM, RGB, WHITE, Color, jitter, mix
from mmrag.datasets.paint import Field, Lattice, LatticePoints, Paint, blend, inside, noise, rotate, wave

__all__ = ["ANIMALS", "make_paint"]

ANIMALS = frozenset({"leopard", "zebra", "tiger"})

_TURN = 2 * math.pi


def make_paint(pattern: str, color: str, rng: Random, scale: float = 1.0) -> Paint:
    """Create the paint of a pattern in a color; its angle, period and tones are random."""
    reach = 4 if color in ("black", "grey") else 10  # more would give them a hue
    dye = jitter(RGB[color], rng, reach)
    return _PATTERNS[pattern](color, dye, scale, rng)


def _leopard(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    """Broken dark rings around a brown center, no two alike."""
    fur = jitter((226, 180, 110), rng) if color == "tan" else mix(dye, WHITE, 0.42)
    ink = (44, 28, 18) if color == "tan" else mix(dye, BLACK, 0.7)
    center = mix(fur, (126, 74, 32) if color == "tan" else ink, 0.45)
    lattice = Lattice(rng, rng.uniform(0.098, 0.122))
    sideways, upright = noise(rng, 11), noise(rng, 11)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        soft = pixel / lattice.step
        cell = lattice(x + (sideways(x, y) - 0.5) * 0.07, y + (upright(x, y) - 0.5) * 0.07)
        radius = np.hypot(cell.u, cell.v) * cell.uniform(0, 0.96, 1.3)
        angle = np.arctan2(cell.v, cell.u) + cell.uniform(1, 0, _TURN)
        gaps = np.floor(cell.uniform(2, 2, 4.99))
        width = 0.135 - 0.2 * np.maximum(0, np.cos(angle * gaps) - 0.3)
        coat = blend(fur, center, inside(0.29 - radius, soft))
        return blend(coat, ink, inside(width - np.abs(radius - 0.3), soft))

    return rotate(paint, rng.uniform(-25, 25), scale, rng)


def _zebra(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    fur = (248, 246, 240) if color in ("black", "brown") else mix(dye, WHITE, 0.84)
    ink = (28, 26, 28) if color == "black" else mix(dye, BLACK, 0.16)
    period = rng.uniform(0.066, 0.086)
    broad, narrow, forks = noise(rng, 4), noise(rng, 9), noise(rng, 10)

    def stripe(x: Field, y: Field) -> Field:
        bent = x + (broad(x, y) - 0.5) * 0.16 + (narrow(x, y) - 0.5) * 0.05
        return (wave(bent / period + 0.25 * np.sin(y * 9)) + (forks(x, y) - 0.5) * 1.3) * period / 6.3

    return rotate(_two_tone(fur, ink, stripe), rng.choice([90, 90, 60, 110]) + rng.uniform(-15, 15), scale, rng)


def _tiger(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    fur = jitter((238, 142, 44), rng) if color == "orange" else mix(dye, WHITE, 0.12)
    pale, ink = mix(fur, (255, 250, 240), 0.6), (34, 24, 18)
    period = rng.uniform(0.078, 0.098)
    belly, bend, breaks = noise(rng, 3), noise(rng, 5), noise(rng, 8)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        coat = blend(fur, pale, np.clip(belly(x, y) * 1.5 - 0.5, 0, 1))
        stripe = wave((y + (bend(x, y) - 0.5) * 0.16) / period) - 0.35
        stripe = stripe - (breaks(x, y) - 0.42) * 2.4  # tapers a stripe until it ends
        return blend(coat, ink, inside(stripe * period / 6.3, pixel))

    return rotate(paint, rng.uniform(-18, 18), scale, rng)


def _camouflage(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    ground = mix(dye, (250, 245, 215), 0.5)
    tones = ((dye, 0.5), (mix(dye, (70, 50, 30), 0.55), 0.59), (mix(dye, BLACK, 0.72), 0.66))
    clouds = [(noise(rng, 8), noise(rng, 16)) for _ in tones]

    def paint(x: Field, y: Field, pixel: float) -> Field:
        cloth = _uniform(ground, x)
        for (tone, level), (large, small) in zip(tones, clouds, strict=True):
            cloud = large(x, y) * 0.75 + small(x, y) * 0.25
            cloth = blend(cloth, tone, inside((cloud - level) * 0.4, pixel))
        return cloth

    return rotate(paint, rng.uniform(-40, 40), scale, rng)


def _polka_dot(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    tones = _choose_tones(dye, rng)
    lattice, radius = Lattice(rng, rng.uniform(0.11, 0.14)), rng.uniform(0.25, 0.31)
    paint = _motifs(*tones, lattice, lambda cell: radius - np.hypot(cell.u, cell.v))
    return rotate(paint, rng.uniform(-25, 25), scale, rng)


def _striped(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    tones = _choose_tones(dye, rng)
    period, width = rng.uniform(0.085, 0.12), rng.uniform(-0.35, 0.2)
    paint = _two_tone(*tones, lambda x, y: (wave(x / period) + width) * period / 6.3)
    return rotate(paint, rng.choice([0, 90, 0, 90, 45, -45]) + rng.uniform(-4, 4), scale, rng)


def _plaid(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    ground, band, thread = mix(dye, CREAM, 0.3), mix(dye, BLACK, 0.4), mix(dye, BLACK, 0.8)
    period = rng.uniform(0.19, 0.25)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        across, down = (x / period) % 1, (y / period) % 1

        def line(position: Field, center: float, half: float) -> Field:
            return inside((half - np.abs(position - center)) * period, pixel)

        cloth = blend(ground, band, (line(across, 0.5, 0.22) + line(down, 0.5, 0.22)) * 0.42)
        dark = np.maximum(line(across, 0.5, 0.025), line(down, 0.5, 0.025))
        light = np.maximum(line(across, 0.06, 0.035), line(down, 0.06, 0.035))
        return blend(blend(cloth, thread, dark * 0.65), CREAM, light * 0.85)

    return rotate(paint, rng.choice([0, 0, 45]) + rng.uniform(-5, 5), scale, rng)


def _floral(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    """Flowers of five petals with two leaves."""
    leaf = (32, 82, 46) if color == "green" else (74, 138, 74)
    eye = (150, 84, 36) if color == "yellow" else (250, 206, 80)
    ground, petals = _choose_tones(dye, rng)
    lattice = Lattice(rng, rng.uniform(0.2, 0.24))

    def paint(x: Field, y: Field, pixel: float) -> Field:
        soft = pixel / lattice.step
        cell = lattice(x, y)
        size = cell.uniform(1, 0.27, 0.33)
        radius, angle = np.hypot(cell.u, cell.v), np.arctan2(cell.v, cell.u)
        angle = angle + cell.uniform(0, 0, _TURN)

        def blade(direction: float) -> Field:
            along = radius * np.cos(angle - direction) - 0.27
            beside = radius * np.sin(angle - direction)
            return (1 - np.hypot(along / 0.16, beside / 0.085)) * 0.085

        leaves = np.maximum(blade(0.6), blade(3.0))
        folded = (angle % (_TURN / 5)) - _TURN / 10
        bloom = 0.44 * size - np.hypot(radius * np.cos(folded) - 0.6 * size, radius * np.sin(folded))
        cloth = blend(ground, leaf, inside(leaves, soft))
        cloth = blend(cloth, petals, inside(bloom, soft))
        return blend(cloth, eye, inside(0.3 * size - radius, soft))

    return rotate(paint, rng.uniform(-25, 25), scale, rng)


def _star(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    """Five-pointed stars at random angles."""
    tones = _choose_tones(dye, rng)
    lattice = Lattice(rng, rng.uniform(0.165, 0.2))
    point = np.array([0.43, 0.0])
    dent = 0.4 * point[0] * np.array([math.cos(_TURN / 10), math.sin(_TURN / 10)])
    side = dent - point
    normal = np.array([side[1], -side[0]]) / np.hypot(*side)  # outward of the edge point -> dent
    nx, ny, reach = float(normal[0]), float(normal[1]), float(normal @ point)

    def distance(cell: LatticePoints) -> Field:
        angle = np.arctan2(cell.v, cell.u) + cell.uniform(0, 0, _TURN)
        folded = np.abs((angle % (_TURN / 5)) - _TURN / 10) - _TURN / 10  # 0 at a point of the star
        return reach - np.hypot(cell.u, cell.v) * (np.cos(folded) * nx + np.sin(-folded) * ny)

    return rotate(_motifs(*tones, lattice, distance), rng.uniform(-15, 15), scale, rng)


def _heart(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    """Hearts: a diamond with a half circle on each of its upper sides."""
    tones = _choose_tones(dye, rng)
    lattice, size = Lattice(rng, rng.uniform(0.15, 0.185)), 0.44
    center, radius, corner = math.sqrt(1 / 8), 0.5, math.sqrt(0.5)

    def distance(cell: LatticePoints) -> Field:
        lean = cell.uniform(0, -0.3, 0.3)
        cos, sin = np.cos(lean), np.sin(lean)
        side = np.abs(cell.u * cos + cell.v * sin) / size
        up = 0.06 - (cell.v * cos - cell.u * sin) / size
        diamond = (corner - side - np.abs(up)) * corner
        lobe = radius - np.hypot(side - center, up - center)
        return np.maximum(diamond, lobe) * size

    return rotate(_motifs(*tones, lattice, distance), rng.uniform(-12, 12), scale, rng)


def _chevron(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    tones = _choose_tones(dye, rng)
    period = rng.uniform(0.13, 0.16)
    height = period * 0.8
    paint = _two_tone(*tones, lambda x, y: wave(y / height + np.abs((x / period) % 1 - 0.5)) * height / 9)
    return rotate(paint, rng.uniform(-7, 7), scale, rng)


def _plain(color: str, dye: Color, scale: float, rng: Random) -> Paint:
    return lambda x, y, pixel: _uniform(dye, x)


def _uniform(color: Color, x: Field) -> Field:
    return blend(color, color, np.zeros_like(x))


def _two_tone(ground: Color, figure: Color, distance: Callable[[Field, Field], Field]) -> Paint:
    """Fill with the figure color where the distance to an edge is positive."""
    return lambda x, y, pixel: blend(ground, figure, inside(distance(x, y), pixel))


def _motifs(ground: Color, figure: Color, lattice: Lattice, distance: Callable[[LatticePoints], Field]) -> Paint:
    """Repeat a motif in each cell; ``distance`` is in steps of the lattice."""
    return lambda x, y, pixel: blend(ground, figure, inside(distance(lattice(x, y)), pixel / lattice.step))


def _choose_tones(dye: Color, rng: Random) -> tuple[Color, Color]:
    """Ground and figure: the dye on cream, or cream (or a tint of the dye) on the dye."""
    if rng.random() < 0.4:
        return CREAM, dye
    return dye, mix(dye, WHITE, 0.78) if rng.random() < 0.3 else CREAM


_PATTERNS: dict[str, Callable[[str, Color, float, Random], Paint]] = {
    "leopard": _leopard, "zebra": _zebra, "tiger": _tiger, "camouflage": _camouflage, "polka dot": _polka_dot,
    "striped": _striped, "plaid": _plaid, "floral": _floral, "star": _star, "heart": _heart, "chevron": _chevron,
    "plain": _plain,
}  # fmt: skip
