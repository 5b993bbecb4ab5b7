"""Products that are worn or carried: t-shirt, dress, sneaker, watch, tote bag, backpack."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from .canvas import DRAPED, FOLDED, ROUND, SOFT, Canvas
from .look import Look
from .palette import CREAM, Field, Paint, darker, lighter
from .shapes import arc, circle, curve, mirrored, polygon, rounded, smooth, stroke

__all__ = ["backpack", "dress", "sneaker", "t_shirt", "tote_bag", "watch"]


def t_shirt(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a shirt laid out, with collar and sleeve seams."""
    shoulder = [(0.5, 0.165), (0.62, 0.12), (0.75, 0.165), (0.945, 0.37)]
    side = [(0.82, 0.485), (0.725, 0.4), (0.735, 0.65), (0.74, 0.9), (0.5, 0.92)]
    canvas.part(smooth(mirrored([*shoulder, *side])), look.print, FOLDED)
    collar = lighter(look.main, 0.25) if dice.random() < 0.5 else look.trim
    canvas.part(stroke(arc((0.5, 0.115), (0.125, 0.075), 6, 174), 0.03), collar, edge=0.2)
    for s in (-1, 1):
        seam = [(0.5 + s * 0.24, 0.21), (0.5 + s * 0.224, 0.4)]
        canvas.part(stroke(seam, 0.007), look.trim, edge=0)
        cuff = [(0.5 + s * 0.432, 0.377), (0.5 + s * 0.33, 0.468)]
        canvas.part(stroke(cuff, 0.008), look.trim, edge=0)


def dress(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a summer dress: straps, bodice, belt, wide skirt."""
    for s in (-1, 1):
        canvas.part(stroke([(0.5 + s * 0.11, 0.04), (0.5 + s * 0.1, 0.18)], 0.028), look.trim)
    bodice = [(0.5, 0.165), (0.57, 0.13), (0.64, 0.13), (0.652, 0.24), (0.606, 0.4)]
    skirt = [(0.72, 0.6), (0.87, 0.885), (0.68, 0.94), (0.5, 0.955)]
    canvas.part(smooth(mirrored([*bodice, *skirt])), look.print, DRAPED)
    belt = [(0.385, 0.375), (0.615, 0.375), (0.622, 0.42), (0.378, 0.42)]
    canvas.part(polygon(belt), look.trim, SOFT, 0.2)


def sneaker(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a low shoe from the side: sole, upper, toe cap, heel, laces."""
    sole = dice.choice([CREAM, (240, 240, 240), (70, 70, 74)])
    base = [(0.035, 0.7), (0.09, 0.665), (0.5, 0.72), (0.955, 0.69), (0.985, 0.77)]
    base += [(0.94, 0.835), (0.5, 0.85), (0.09, 0.835), (0.03, 0.79)]
    upper = [(0.06, 0.71), (0.05, 0.53), (0.065, 0.29), (0.125, 0.275), (0.205, 0.335)]
    upper += [(0.29, 0.34), (0.355, 0.285), (0.405, 0.28), (0.5, 0.4), (0.635, 0.51)]
    upper += [(0.82, 0.55), (0.93, 0.605), (0.96, 0.695), (0.7, 0.735), (0.5, 0.74), (0.23, 0.73)]
    toe = [(0.8, 0.552), (0.905, 0.588), (0.955, 0.645), (0.958, 0.7), (0.8, 0.725), (0.762, 0.64)]
    heel = [(0.066, 0.3), (0.12, 0.295), (0.145, 0.42), (0.14, 0.51), (0.062, 0.52)]
    canvas.part(smooth(base), sole, edge=0.3)
    canvas.part(smooth(upper), look.print, SOFT)
    canvas.part(smooth(toe), dice.choice([sole, look.trim]), SOFT, 0.2)
    canvas.part(smooth(heel), look.trim, SOFT, 0.2)
    canvas.part(stroke([(0.06, 0.785), (0.5, 0.8), (0.965, 0.775)], 0.014), look.trim, edge=0)
    lace = (60, 60, 62) if sole == (70, 70, 74) else (250, 250, 250)
    for i in range(4):
        x, y = 0.385 + i * 0.075, 0.33 + i * 0.058
        canvas.part(stroke([(x, y), (x - 0.08, y + 0.08)], 0.02), lace, edge=0.15)


def watch(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a wristwatch with a broad printed strap."""
    radius = dice.uniform(0.225, 0.25)
    strap = [(0.635, 0.02), (0.675, 0.28), (0.675, 0.72), (0.635, 0.98)]
    canvas.part(smooth(mirrored(strap)), look.print, ROUND, 0.3)
    canvas.part(rounded(0.5 + radius - 0.01, 0.475, 0.55 + radius, 0.525, 0.012), look.metal)
    canvas.part(circle(0.5, 0.5, radius), look.metal, SOFT, 0.3)
    face = dice.choice([(250, 250, 248), (34, 36, 44)])
    ink = (40, 40, 44) if face[0] > 100 else (240, 240, 240)
    dial = radius - 0.035
    canvas.part(circle(0.5, 0.5, dial), face, edge=0.25)

    def ray(turn: float, start: float, end: float, width: float) -> None:
        way = np.array([math.cos(turn), math.sin(turn)]) * dial
        canvas.part(stroke([0.5 + way * start, 0.5 + way * end], width), ink, edge=0)

    for hour in range(12):
        ray(hour * math.pi / 6, 0.8, 0.92, 0.013)
    for length, width in ((0.5, 0.022), (0.76, 0.014)):
        ray(dice.uniform(0, 2 * math.pi), 0, length, width)


def tote_bag(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a shopping bag with two handles."""
    handle = dice.choice([look.main, look.trim, (196, 160, 116)])
    canvas.part(stroke(arc((0.5, 0.36), (0.16, 0.27), 180, 360), 0.036), darker(handle, 0.25))
    bag = [(0.16, 0.33), (0.84, 0.33), (0.885, 0.92), (0.86, 0.945), (0.14, 0.945), (0.115, 0.92)]
    canvas.part(polygon(bag), look.print, FOLDED)
    loop = arc((0.5, 0.36), (0.155, 0.25), 184, 356)
    front = np.vstack([[(0.337, 0.45)], loop, [(0.663, 0.45)]])
    canvas.part(stroke(front, 0.038), handle)
    canvas.part(stroke([(0.17, 0.357), (0.83, 0.357)], 0.007), look.trim, edge=0)


def backpack(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a backpack from the front: straps at the sides, lid, pocket, zip."""
    for s in (-1, 1):
        strap = [(0.2, 0.22), (0.37, 0.42), (0.375, 0.68), (0.29, 0.87)]
        canvas.part(stroke(curve([(0.5 + s * x, y) for x, y in strap]), 0.055), look.trim)
    canvas.part(stroke(arc((0.5, 0.11), (0.09, 0.085), 180, 360), 0.034), look.trim)
    bag = [(0.5, 0.075), (0.71, 0.135), (0.77, 0.28), (0.8, 0.62), (0.785, 0.9), (0.5, 0.945)]
    canvas.part(smooth(mirrored(bag)), look.print, SOFT)
    zipper = darker(look.trim, 0.2)
    canvas.part(stroke(arc((0.5, 0.37), (0.23, 0.185), 184, 356), 0.015), zipper, edge=0)
    pocket = lighter(look.main, 0.12) if dice.random() < 0.3 else _shaded(look)
    canvas.part(rounded(0.285, 0.53, 0.715, 0.875, 0.075), pocket, SOFT, 0.4)
    canvas.part(stroke([(0.315, 0.605), (0.685, 0.605)], 0.015), zipper, edge=0)
    canvas.part(rounded(0.61, 0.595, 0.64, 0.68, 0.012), look.metal, edge=0.1)


def _shaded(look: Look) -> Paint:
    def paint(x: Field, y: Field, pixel: float) -> Field:
        return look.print(x + 0.31, y + 0.17, pixel) * 0.84

    return paint
