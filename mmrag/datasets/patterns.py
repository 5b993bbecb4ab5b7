"""The twelve patterns. In: the name of a color, and dice. Out: a paint for the whole plane."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from . import motifs
from .noise import Noise, inside, turned, wave
from .palette import CREAM, RGB, Color, Field, Paint, blend, darker, jittered, lighter, mix

__all__ = ["ANIMALS", "paint_of"]

ANIMALS = frozenset({"leopard", "zebra", "tiger"})


def paint_of(pattern: str, color: str, dice: Random, scale: float = 1.0) -> Paint:
    """Make the paint of a pattern in a color; the dice choose its angle, period and tones."""
    reach = 4 if color in ("black", "grey") else 10  # more would give them a hue
    dye = jittered(RGB[color], dice, reach)
    return _MAKERS[pattern](color, dye, scale, dice)


def _leopard(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    fur = jittered((226, 180, 110), dice) if color == "tan" else lighter(dye, 0.42)
    ink = (44, 28, 18) if color == "tan" else darker(dye, 0.7)
    heart = mix(fur, (126, 74, 32) if color == "tan" else ink, 0.45)
    rosettes = motifs.rosettes(fur, heart, ink, dice)
    return turned(rosettes, dice.uniform(-25, 25), scale, dice)


def _zebra(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    fur = (248, 246, 240) if color in ("black", "brown") else lighter(dye, 0.84)
    ink = (28, 26, 28) if color == "black" else darker(dye, 0.16)
    period = dice.uniform(0.066, 0.086)
    broad, narrow, forks = Noise(dice, 4), Noise(dice, 9), Noise(dice, 10)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        bent = x + (broad(x, y) - 0.5) * 0.16 + (narrow(x, y) - 0.5) * 0.05
        stripe = wave(bent / period + 0.25 * np.sin(y * 9)) + (forks(x, y) - 0.5) * 1.3
        return blend(fur, ink, inside(stripe * period / 6.3, pixel))

    return turned(paint, dice.choice([90, 90, 60, 110]) + dice.uniform(-15, 15), scale, dice)


def _tiger(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    fur = jittered((238, 142, 44), dice) if color == "orange" else lighter(dye, 0.12)
    pale, ink = mix(fur, (255, 250, 240), 0.6), (34, 24, 18)
    period = dice.uniform(0.078, 0.098)
    belly, bend, breaks = Noise(dice, 3), Noise(dice, 5), Noise(dice, 8)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        coat = blend(fur, pale, np.clip(belly(x, y) * 1.5 - 0.5, 0, 1))
        lines = wave((y + (bend(x, y) - 0.5) * 0.16) / period) - 0.35
        lines = lines - (breaks(x, y) - 0.42) * 2.4  # tapers a stripe until it ends
        return blend(coat, ink, inside(lines * period / 6.3, pixel))

    return turned(paint, dice.uniform(-18, 18), scale, dice)


def _camouflage(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    ground = mix(dye, (250, 245, 215), 0.5)
    tones = ((dye, 0.5), (mix(dye, (70, 50, 30), 0.55), 0.59), (darker(dye, 0.72), 0.66))
    clouds = [(Noise(dice, 8), Noise(dice, 16)) for _ in tones]

    def paint(x: Field, y: Field, pixel: float) -> Field:
        coat = blend(ground, ground, np.zeros_like(x))
        for (tone, level), (large, small) in zip(tones, clouds, strict=True):
            cloud = large(x, y) * 0.75 + small(x, y) * 0.25
            coat = blend(coat, tone, inside((cloud - level) * 0.4, pixel))
        return coat

    return turned(paint, dice.uniform(-40, 40), scale, dice)


def _striped(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    ground, figure = _two_tones(dye, dice)
    period, width = dice.uniform(0.085, 0.12), dice.uniform(-0.35, 0.2)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        return blend(ground, figure, inside((wave(x / period) + width) * period / 6.3, pixel))

    return turned(paint, dice.choice([0, 90, 0, 90, 45, -45]) + dice.uniform(-4, 4), scale, dice)


def _chevron(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    ground, figure = _two_tones(dye, dice)
    period = dice.uniform(0.13, 0.16)
    height = period * 0.8

    def paint(x: Field, y: Field, pixel: float) -> Field:
        zigzag = np.abs((x / period) % 1 - 0.5)
        return blend(ground, figure, inside(wave(y / height + zigzag) * height / 9, pixel))

    return turned(paint, dice.uniform(-7, 7), scale, dice)


def _plaid(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    ground, band, thread = mix(dye, CREAM, 0.3), darker(dye, 0.4), darker(dye, 0.8)
    period = dice.uniform(0.19, 0.25)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        across, down = (x / period) % 1, (y / period) % 1

        def line(at: Field, center: float, half: float) -> Field:
            return inside((half - np.abs(at - center)) * period, pixel)

        cloth = blend(ground, band, (line(across, 0.5, 0.22) + line(down, 0.5, 0.22)) * 0.42)
        dark = np.maximum(line(across, 0.5, 0.025), line(down, 0.5, 0.025))
        light = np.maximum(line(across, 0.06, 0.035), line(down, 0.06, 0.035))
        return blend(blend(cloth, thread, dark * 0.65), CREAM, light * 0.85)

    return turned(paint, dice.choice([0, 0, 45]) + dice.uniform(-5, 5), scale, dice)


def _polka_dot(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    dots = motifs.dots(*_two_tones(dye, dice), dice)
    return turned(dots, dice.uniform(-25, 25), scale, dice)


def _star(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    stars = motifs.stars(*_two_tones(dye, dice), dice)
    return turned(stars, dice.uniform(-15, 15), scale, dice)


def _heart(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    hearts = motifs.hearts(*_two_tones(dye, dice), dice)
    return turned(hearts, dice.uniform(-12, 12), scale, dice)


def _floral(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    leaf = (32, 82, 46) if color == "green" else (74, 138, 74)
    eye = (150, 84, 36) if color == "yellow" else (250, 206, 80)
    flowers = motifs.flowers(*_two_tones(dye, dice), leaf, eye, dice)
    return turned(flowers, dice.uniform(-25, 25), scale, dice)


def _plain(color: str, dye: Color, scale: float, dice: Random) -> Paint:
    def paint(x: Field, y: Field, pixel: float) -> Field:
        return blend(dye, dye, np.zeros_like(x))

    return paint


def _two_tones(dye: Color, dice: Random) -> tuple[Color, Color]:
    """Ground and figure: the dye on cream, or cream (or a tint of the dye) on the dye."""
    if dice.random() < 0.4:
        return CREAM, dye
    return dye, lighter(dye, 0.78) if dice.random() < 0.3 else CREAM


_MAKERS: dict[str, Callable[[str, Color, float, Random], Paint]] = {
    "leopard": _leopard,
    "zebra": _zebra,
    "tiger": _tiger,
    "camouflage": _camouflage,
    "polka dot": _polka_dot,
    "striped": _striped,
    "plaid": _plaid,
    "floral": _floral,
    "star": _star,
    "heart": _heart,
    "chevron": _chevron,
    "plain": _plain,
}
