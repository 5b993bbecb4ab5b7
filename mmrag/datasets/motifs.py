"""Motifs on a lattice: dots, stars, hearts, flowers, rosettes. In: tones, dice. Out: a paint."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from .noise import Lattice, Noise, inside
from .palette import Color, Field, Paint, blend

__all__ = ["dots", "flowers", "hearts", "rosettes", "stars"]

_TURN = 2 * math.pi


def dots(ground: Color, figure: Color, dice: Random) -> Paint:
    """Paint round dots in a regular order."""
    lattice, radius = Lattice(dice, dice.uniform(0.11, 0.14)), dice.uniform(0.25, 0.31)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        cell = lattice(x, y)
        return blend(ground, figure, inside(radius - np.hypot(cell.u, cell.v), pixel / lattice.step))

    return paint


def stars(ground: Color, figure: Color, dice: Random) -> Paint:
    """Paint five-pointed stars, each turned its own way."""
    lattice = Lattice(dice, dice.uniform(0.165, 0.2))
    point = np.array([0.43, 0.0])
    dent = 0.4 * point[0] * np.array([math.cos(_TURN / 10), math.sin(_TURN / 10)])
    side = dent - point
    normal = np.array([side[1], -side[0]]) / np.hypot(*side)  # outward of the edge point -> dent
    nx, ny, reach = float(normal[0]), float(normal[1]), float(normal @ point)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        cell = lattice(x, y)
        angle = np.arctan2(cell.v, cell.u) + cell.uniform(0, 0, _TURN)
        folded = np.abs((angle % (_TURN / 5)) - _TURN / 10) - _TURN / 10  # 0 at a point of the star
        radius = np.hypot(cell.u, cell.v)
        across = radius * (np.cos(folded) * nx + np.sin(-folded) * ny)
        return blend(ground, figure, inside(reach - across, pixel / lattice.step))

    return paint


def hearts(ground: Color, figure: Color, dice: Random) -> Paint:
    """Paint hearts: a diamond with a half circle on each of its upper sides."""
    lattice, size = Lattice(dice, dice.uniform(0.15, 0.185)), 0.44
    center, radius, corner = math.sqrt(1 / 8), 0.5, math.sqrt(0.5)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        cell = lattice(x, y)
        u, v = cell.turned(cell.uniform(0, -0.3, 0.3))
        side, up = np.abs(u) / size, 0.06 - v / size
        diamond = (corner - side - np.abs(up)) * corner
        lobe = radius - np.hypot(side - center, up - center)
        return blend(ground, figure, inside(np.maximum(diamond, lobe) * size, pixel / lattice.step))

    return paint


def flowers(ground: Color, petals: Color, leaf: Color, eye: Color, dice: Random) -> Paint:
    """Paint flowers of five petals with two leaves."""
    lattice = Lattice(dice, dice.uniform(0.2, 0.24))

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

    return paint


def rosettes(fur: Color, heart: Color, ink: Color, dice: Random) -> Paint:
    """Paint a leopard's spots: broken dark rings around a brown heart, no two alike."""
    lattice = Lattice(dice, dice.uniform(0.098, 0.122))
    sideways, upright = Noise(dice, 11), Noise(dice, 11)

    def paint(x: Field, y: Field, pixel: float) -> Field:
        soft = pixel / lattice.step
        cell = lattice(x + (sideways(x, y) - 0.5) * 0.07, y + (upright(x, y) - 0.5) * 0.07)
        radius = np.hypot(cell.u, cell.v) * cell.uniform(0, 0.96, 1.3)
        angle = np.arctan2(cell.v, cell.u) + cell.uniform(1, 0, _TURN)
        gaps = np.floor(cell.uniform(2, 2, 4.99))
        width = 0.135 - 0.2 * np.maximum(0, np.cos(angle * gaps) - 0.3)
        coat = blend(fur, heart, inside(0.29 - radius, soft))
        return blend(coat, ink, inside(width - np.abs(radius - 0.3), soft))

    return paint
