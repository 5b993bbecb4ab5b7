"""The twelve products: each function draws one on a canvas."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np

from mmrag.datasets.attributes import BLACK, CREAM, WHITE, mix
from mmrag.datasets.canvas import DRAPED, FLAT, FOLDED, PUFFED, ROUND, SOFT, Canvas, Materials
from mmrag.datasets.paint import Paint
from mmrag.datasets.shapes import arc, circle, curve, ellipse, mirrored, polygon, rounded, smooth, stroke

__all__ = ["DRAWERS"]


def phone_case(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a case from behind, with the camera island and a glint."""
    half = rng.uniform(0.2, 0.235)
    left, right = 0.5 - half, 0.5 + half
    canvas.draw(rounded(left - 0.014, 0.046, right + 0.014, 0.954, 0.085), (38, 38, 42))
    for top, bottom in ((0.22, 0.29), (0.32, 0.43)):
        canvas.draw(rounded(right + 0.004, top, right + 0.024, bottom, 0.008), (60, 60, 66))
    canvas.draw(rounded(left, 0.058, right, 0.942, 0.075), materials.print, SOFT)
    island = (left + 0.03, 0.09)
    canvas.draw(rounded(*island, island[0] + 0.18, island[1] + 0.18, 0.05), (58, 60, 66), SOFT, 0.2)
    for dx, dy in [(0.05, 0.05), (0.13, 0.13), (0.13, 0.05)][: rng.choice([2, 3])]:
        x, y = island[0] + dx, island[1] + dy
        canvas.draw(circle(x, y, 0.034), (18, 20, 26), edge=0.1)
        canvas.draw(circle(x, y, 0.02), (38, 44, 62), edge=0)
        canvas.draw(circle(x - 0.008, y - 0.009, 0.008), (150, 170, 210), edge=0)


def mug(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a mug seen a little from above, with its ear and something to drink."""
    rim = 0.245 - rng.uniform(0, 0.05)
    ear = arc((0.67, 0.53), (0.17, 0.175), -100, 100)
    canvas.draw(stroke(ear, 0.066), rng.choice([materials.main, CREAM]), SOFT)
    side = [(0.7, rim), (0.695, 0.6), (0.665, 0.8), (0.6, 0.87), (0.435, 0.885)]
    body = np.vstack([curve(side), curve(side)[::-1] * (-1, 1) + (0.87, 0)])
    canvas.draw(body, materials.print, ROUND, 0.25)
    canvas.draw(ellipse((0.435, rim), (0.267, 0.067)), CREAM, SOFT, 0.2)
    drink = rng.choice([(92, 58, 36), (150, 98, 52), mix(CREAM, (120, 110, 100), 0.45)])
    canvas.draw(ellipse((0.435, rim + 0.006), (0.242, 0.052)), drink, FLAT, 0.3)


def t_shirt(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a shirt laid out, with collar and sleeve seams."""
    shoulder = [(0.5, 0.165), (0.62, 0.12), (0.75, 0.165), (0.945, 0.37)]
    side = [(0.82, 0.485), (0.725, 0.4), (0.735, 0.65), (0.74, 0.9), (0.5, 0.92)]
    canvas.draw(smooth(mirrored([*shoulder, *side])), materials.print, FOLDED)
    collar = mix(materials.main, WHITE, 0.25) if rng.random() < 0.5 else materials.trim
    canvas.draw(stroke(arc((0.5, 0.115), (0.125, 0.075), 6, 174), 0.03), collar, edge=0.2)
    for s in (-1, 1):
        canvas.draw(stroke([(0.5 + s * 0.24, 0.21), (0.5 + s * 0.224, 0.4)], 0.007), materials.trim, edge=0)
        canvas.draw(stroke([(0.5 + s * 0.432, 0.377), (0.5 + s * 0.33, 0.468)], 0.008), materials.trim, edge=0)


def tote_bag(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a shopping bag with two handles."""
    handle = rng.choice([materials.main, materials.trim, (196, 160, 116)])
    canvas.draw(stroke(arc((0.5, 0.36), (0.16, 0.27), 180, 360), 0.036), mix(handle, BLACK, 0.25))
    bag = [(0.16, 0.33), (0.84, 0.33), (0.885, 0.92), (0.86, 0.945), (0.14, 0.945), (0.115, 0.92)]
    canvas.draw(polygon(bag), materials.print, FOLDED)
    front = np.vstack([[(0.337, 0.45)], arc((0.5, 0.36), (0.155, 0.25), 184, 356), [(0.663, 0.45)]])
    canvas.draw(stroke(front, 0.038), handle)
    canvas.draw(stroke([(0.17, 0.357), (0.83, 0.357)], 0.007), materials.trim, edge=0)


def sneaker(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a low shoe from the side: sole, upper, toe cap, heel, laces."""
    sole = rng.choice([CREAM, (240, 240, 240), (70, 70, 74)])
    base = [(0.035, 0.7), (0.09, 0.665), (0.5, 0.72), (0.955, 0.69), (0.985, 0.77)]
    base += [(0.94, 0.835), (0.5, 0.85), (0.09, 0.835), (0.03, 0.79)]
    upper = [(0.06, 0.71), (0.05, 0.53), (0.065, 0.29), (0.125, 0.275), (0.205, 0.335)]
    upper += [(0.29, 0.34), (0.355, 0.285), (0.405, 0.28), (0.5, 0.4), (0.635, 0.51)]
    upper += [(0.82, 0.55), (0.93, 0.605), (0.96, 0.695), (0.7, 0.735), (0.5, 0.74), (0.23, 0.73)]
    toe = [(0.8, 0.552), (0.905, 0.588), (0.955, 0.645), (0.958, 0.7), (0.8, 0.725), (0.762, 0.64)]
    heel = [(0.066, 0.3), (0.12, 0.295), (0.145, 0.42), (0.14, 0.51), (0.062, 0.52)]
    canvas.draw(smooth(base), sole, edge=0.3)
    canvas.draw(smooth(upper), materials.print, SOFT)
    canvas.draw(smooth(toe), rng.choice([sole, materials.trim]), SOFT, 0.2)
    canvas.draw(smooth(heel), materials.trim, SOFT, 0.2)
    canvas.draw(stroke([(0.06, 0.785), (0.5, 0.8), (0.965, 0.775)], 0.014), materials.trim, edge=0)
    lace = (60, 60, 62) if sole == (70, 70, 74) else (250, 250, 250)
    for i in range(4):
        x, y = 0.385 + i * 0.075, 0.33 + i * 0.058
        canvas.draw(stroke([(x, y), (x - 0.08, y + 0.08)], 0.02), lace, edge=0.15)


def backpack(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a backpack from the front: straps at the sides, lid, pocket, zip."""
    for s in (-1, 1):
        strap = [(0.2, 0.22), (0.37, 0.42), (0.375, 0.68), (0.29, 0.87)]
        canvas.draw(stroke(curve([(0.5 + s * x, y) for x, y in strap]), 0.055), materials.trim)
    canvas.draw(stroke(arc((0.5, 0.11), (0.09, 0.085), 180, 360), 0.034), materials.trim)
    bag = [(0.5, 0.075), (0.71, 0.135), (0.77, 0.28), (0.8, 0.62), (0.785, 0.9), (0.5, 0.945)]
    canvas.draw(smooth(mirrored(bag)), materials.print, SOFT)
    zipper = mix(materials.trim, BLACK, 0.2)
    canvas.draw(stroke(arc((0.5, 0.37), (0.23, 0.185), 184, 356), 0.015), zipper, edge=0)
    pocket = mix(materials.main, WHITE, 0.12) if rng.random() < 0.3 else _darker_print(materials)
    canvas.draw(rounded(0.285, 0.53, 0.715, 0.875, 0.075), pocket, SOFT, 0.4)
    canvas.draw(stroke([(0.315, 0.605), (0.685, 0.605)], 0.015), zipper, edge=0)
    canvas.draw(rounded(0.61, 0.595, 0.64, 0.68, 0.012), materials.metal, edge=0.1)


def lamp(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a table lamp: foot, stem, printed shade."""
    foot = rng.choice([(166, 116, 72), materials.metal, (60, 60, 64)])
    canvas.draw(stroke([(0.5, 0.5), (0.5, 0.88)], 0.034), foot)
    if rng.random() < 0.5:
        canvas.draw(smooth(mirrored([(0.53, 0.6), (0.61, 0.74), (0.56, 0.88)])), foot, ROUND)
    canvas.draw(ellipse((0.5, 0.9), (0.165, 0.04)), foot, SOFT)
    top = rng.uniform(0.13, 0.18)
    hem = arc((0.5, 0.56), (0.33, 0.035), 0, 180)
    shade = polygon(np.vstack([[(0.5 - top, 0.08), (0.5 + top, 0.08)], hem]))
    canvas.draw(shade, lambda x, y, pixel: np.minimum(255, materials.print(x, y, pixel) * 1.04 + 10), ROUND, 0.2)
    canvas.draw(stroke([(0.5 - top, 0.082), (0.5 + top, 0.082)], 0.014), materials.trim, edge=0)
    canvas.draw(stroke(hem, 0.012), materials.trim, edge=0)


def cushion(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a square cushion with pulled-out corners, piping, and tassels or not."""
    corner = [(0.5, 0.125), (0.72, 0.115), (0.925, 0.075), (0.885, 0.28)]
    right = [*corner, (0.875, 0.5), *((x, 1 - y) for x, y in reversed(corner))]
    outline = smooth(mirrored(right))
    if rng.random() < 0.5:
        for x, y in ((0.09, 0.09), (0.91, 0.09), (0.91, 0.91), (0.09, 0.91)):
            canvas.draw(circle(x, y, 0.034), materials.trim, edge=0.2)
    canvas.draw((outline - 0.5) * 1.02 + 0.5, materials.trim, edge=0.2)
    canvas.draw(outline, materials.print, PUFFED, 0.42)


def watch(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a wristwatch with a broad printed strap."""
    radius = rng.uniform(0.225, 0.25)
    strap = mirrored([(0.635, 0.02), (0.675, 0.28), (0.675, 0.72), (0.635, 0.98)])
    canvas.draw(smooth(strap), materials.print, ROUND, 0.3)
    canvas.draw(rounded(0.5 + radius - 0.01, 0.475, 0.55 + radius, 0.525, 0.012), materials.metal)
    canvas.draw(circle(0.5, 0.5, radius), materials.metal, SOFT, 0.3)
    face = rng.choice([(250, 250, 248), (34, 36, 44)])
    ink = (40, 40, 44) if face[0] > 100 else (240, 240, 240)
    dial = radius - 0.035
    canvas.draw(circle(0.5, 0.5, dial), face, edge=0.25)

    def ray(turn: float, start: float, end: float, width: float) -> None:
        direction = np.array([math.cos(turn), math.sin(turn)]) * dial
        canvas.draw(stroke([0.5 + direction * start, 0.5 + direction * end], width), ink, edge=0)

    for hour in range(12):
        ray(hour * math.pi / 6, 0.8, 0.92, 0.013)
    for length, width in ((0.5, 0.022), (0.76, 0.014)):
        ray(rng.uniform(0, 2 * math.pi), 0, length, width)


def dress(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a summer dress: straps, bodice, belt, wide skirt."""
    for s in (-1, 1):
        canvas.draw(stroke([(0.5 + s * 0.11, 0.04), (0.5 + s * 0.1, 0.18)], 0.028), materials.trim)
    bodice = [(0.5, 0.165), (0.57, 0.13), (0.64, 0.13), (0.652, 0.24), (0.606, 0.4)]
    skirt = [(0.72, 0.6), (0.87, 0.885), (0.68, 0.94), (0.5, 0.955)]
    canvas.draw(smooth(mirrored([*bodice, *skirt])), materials.print, DRAPED)
    belt = polygon([(0.385, 0.375), (0.615, 0.375), (0.622, 0.42), (0.378, 0.42)])
    canvas.draw(belt, materials.trim, SOFT, 0.2)


def umbrella(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw an open umbrella from the side: five panels, ribs, a hooked stick."""
    stick = np.vstack([[(0.5, 0.1), (0.5, 0.82)], arc((0.44, 0.84), (0.06, 0.075), 0, 175)])
    canvas.draw(stroke(stick, 0.03), rng.choice([(120, 80, 50), (60, 60, 64), materials.metal]))
    canvas.draw(stroke([(0.5, 0.05), (0.5, 0.14)], 0.018), (60, 60, 64), edge=0)
    left, panel = 0.045, 0.182
    hem = [arc((left + panel * (4.5 - i), 0.56), (panel / 2, 0.05), 0, -180)[:-1] for i in range(5)]
    dome = arc((0.5, 0.56), (0.455, 0.465), 180, 360)
    canvas.draw(np.vstack([dome, *hem]), materials.print, SOFT, 0.38)
    for i in range(1, 5):
        x = left + panel * i
        rib = curve([(0.5, 0.097), (0.5 + (x - 0.5) * 0.72, 0.25), (x, 0.56)])
        canvas.draw(stroke(rib, 0.008), materials.trim, edge=0)


def notebook(canvas: Canvas, materials: Materials, rng: Random) -> None:
    """Draw a spiral notebook with rings on the left and perhaps a label."""
    canvas.draw(rounded(0.225, 0.07, 0.835, 0.955, 0.03), (238, 234, 224), edge=0.4)
    canvas.draw(rounded(0.19, 0.05, 0.81, 0.94, 0.03), materials.print, SOFT, 0.25)
    canvas.draw(rounded(0.19, 0.05, 0.272, 0.94, 0.02), materials.trim, edge=0.2)
    for i in range(10):
        y = 0.1 + i * 0.088
        canvas.draw(circle(0.246, y - 0.004, 0.016), (30, 30, 32), edge=0)
        canvas.draw(stroke([(0.15, y), (0.246, y - 0.006)], 0.021), materials.metal, SOFT, 0.3)
    if rng.random() < 0.5:
        canvas.draw(rounded(0.4, 0.2, 0.7, 0.36, 0.02), CREAM, edge=0.25)
        for y, right in ((0.255, 0.66), (0.305, 0.59)):
            canvas.draw(stroke([(0.44, y), (right, y)], 0.011), (120, 120, 120), edge=0)


DRAWERS: dict[str, Callable[[Canvas, Materials, Random], None]] = {
    "phone case": phone_case, "mug": mug, "t-shirt": t_shirt, "tote bag": tote_bag, "sneaker": sneaker,
    "backpack": backpack, "lamp": lamp, "cushion": cushion, "watch": watch, "dress": dress, "umbrella": umbrella,
    "notebook": notebook,
}  # fmt: skip
"""Functions by product; the canvas is drawn on in place."""


def _darker_print(materials: Materials) -> Paint:
    return lambda x, y, pixel: materials.print(x + 0.31, y + 0.17, pixel) * 0.84
