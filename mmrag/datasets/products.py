"""The twelve products, each a function that lays its parts on a canvas; six live in `wearables`."""

from __future__ import annotations

from random import Random

import numpy as np

from .canvas import FLAT, PUFFED, ROUND, SOFT, Canvas
from .look import Drawer, Look
from .palette import CREAM, Field, Paint, mix
from .shapes import arc, circle, curve, ellipse, mirrored, polygon, rounded, smooth, stroke
from .wearables import backpack, dress, sneaker, t_shirt, tote_bag, watch

__all__ = ["DRAWERS"]


def phone_case(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a case from behind, with the camera island and a glint."""
    half = dice.uniform(0.2, 0.235)
    left, right = 0.5 - half, 0.5 + half
    canvas.part(rounded(left - 0.014, 0.046, right + 0.014, 0.954, 0.085), (38, 38, 42))
    for top, bottom in ((0.22, 0.29), (0.32, 0.43)):
        canvas.part(rounded(right + 0.004, top, right + 0.024, bottom, 0.008), (60, 60, 66))
    canvas.part(rounded(left, 0.058, right, 0.942, 0.075), look.print, SOFT)
    island = (left + 0.03, 0.09)
    canvas.part(rounded(*island, island[0] + 0.18, island[1] + 0.18, 0.05), (58, 60, 66), SOFT, 0.2)
    for dx, dy in [(0.05, 0.05), (0.13, 0.13), (0.13, 0.05)][: dice.choice([2, 3])]:
        x, y = island[0] + dx, island[1] + dy
        canvas.part(circle(x, y, 0.034), (18, 20, 26), edge=0.1)
        canvas.part(circle(x, y, 0.02), (38, 44, 62), edge=0)
        canvas.part(circle(x - 0.008, y - 0.009, 0.008), (150, 170, 210), edge=0)


def mug(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a mug seen a little from above, with its ear and something to drink."""
    rim = 0.245 - dice.uniform(0, 0.05)
    ear = arc((0.67, 0.53), (0.17, 0.175), -100, 100)
    canvas.part(stroke(ear, 0.066), dice.choice([look.main, CREAM]), SOFT)
    side = [(0.7, rim), (0.695, 0.6), (0.665, 0.8), (0.6, 0.87), (0.435, 0.885)]
    body = np.vstack([curve(side), curve(side)[::-1] * (-1, 1) + (0.87, 0)])
    canvas.part(body, look.print, ROUND, 0.25)
    canvas.part(ellipse((0.435, rim), (0.267, 0.067)), CREAM, SOFT, 0.2)
    drink = dice.choice([(92, 58, 36), (150, 98, 52), mix(CREAM, (120, 110, 100), 0.45)])
    canvas.part(ellipse((0.435, rim + 0.006), (0.242, 0.052)), drink, FLAT, 0.3)


def lamp(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a table lamp: foot, stem, printed shade."""
    foot = dice.choice([(166, 116, 72), look.metal, (60, 60, 64)])
    canvas.part(stroke([(0.5, 0.5), (0.5, 0.88)], 0.034), foot)
    if dice.random() < 0.5:
        belly = [(0.53, 0.6), (0.61, 0.74), (0.56, 0.88)]
        canvas.part(smooth(mirrored(belly)), foot, ROUND)
    canvas.part(ellipse((0.5, 0.9), (0.165, 0.04)), foot, SOFT)
    top = dice.uniform(0.13, 0.18)
    hem = arc((0.5, 0.56), (0.33, 0.035), 0, 180)
    shade = polygon(np.vstack([[(0.5 - top, 0.08), (0.5 + top, 0.08)], hem]))
    canvas.part(shade, _lit(look), ROUND, 0.2)
    canvas.part(stroke([(0.5 - top, 0.082), (0.5 + top, 0.082)], 0.014), look.trim, edge=0)
    canvas.part(stroke(hem, 0.012), look.trim, edge=0)


def cushion(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a square cushion with pulled-out corners, piping, and tassels or not."""
    corner = [(0.5, 0.125), (0.72, 0.115), (0.925, 0.075), (0.885, 0.28)]
    right = [*corner, (0.875, 0.5), *((x, 1 - y) for x, y in reversed(corner))]
    outline = smooth(mirrored(right))
    if dice.random() < 0.5:
        for x, y in ((0.09, 0.09), (0.91, 0.09), (0.91, 0.91), (0.09, 0.91)):
            canvas.part(circle(x, y, 0.034), look.trim, edge=0.2)
    canvas.part((outline - 0.5) * 1.02 + 0.5, look.trim, edge=0.2)
    canvas.part(outline, look.print, PUFFED, 0.42)


def umbrella(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw an open umbrella from the side: five panels, ribs, a hooked stick."""
    stick = np.vstack([[(0.5, 0.1), (0.5, 0.82)], arc((0.44, 0.84), (0.06, 0.075), 0, 175)])
    canvas.part(stroke(stick, 0.03), dice.choice([(120, 80, 50), (60, 60, 64), look.metal]))
    canvas.part(stroke([(0.5, 0.05), (0.5, 0.14)], 0.018), (60, 60, 64), edge=0)
    left, panel = 0.045, 0.182
    hem = [arc((left + panel * (4.5 - i), 0.56), (panel / 2, 0.05), 0, -180)[:-1] for i in range(5)]
    dome = arc((0.5, 0.56), (0.455, 0.465), 180, 360)
    canvas.part(np.vstack([dome, *hem]), look.print, SOFT, 0.38)
    for i in range(1, 5):
        x = left + panel * i
        rib = curve([(0.5, 0.097), (0.5 + (x - 0.5) * 0.72, 0.25), (x, 0.56)])
        canvas.part(stroke(rib, 0.008), look.trim, edge=0)


def notebook(canvas: Canvas, look: Look, dice: Random) -> None:
    """Draw a spiral notebook with rings on the left and perhaps a label."""
    canvas.part(rounded(0.225, 0.07, 0.835, 0.955, 0.03), (238, 234, 224), edge=0.4)
    canvas.part(rounded(0.19, 0.05, 0.81, 0.94, 0.03), look.print, SOFT, 0.25)
    canvas.part(rounded(0.19, 0.05, 0.272, 0.94, 0.02), look.trim, edge=0.2)
    for i in range(10):
        y = 0.1 + i * 0.088
        canvas.part(circle(0.246, y - 0.004, 0.016), (30, 30, 32), edge=0)
        canvas.part(stroke([(0.15, y), (0.246, y - 0.006)], 0.021), look.metal, SOFT, 0.3)
    if dice.random() < 0.5:
        canvas.part(rounded(0.4, 0.2, 0.7, 0.36, 0.02), CREAM, edge=0.25)
        for y, right in ((0.255, 0.66), (0.305, 0.59)):
            canvas.part(stroke([(0.44, y), (right, y)], 0.011), (120, 120, 120), edge=0)


def _lit(look: Look) -> Paint:
    def paint(x: Field, y: Field, pixel: float) -> Field:
        return np.minimum(255, look.print(x, y, pixel) * 1.04 + 10)

    return paint


DRAWERS: dict[str, Drawer] = {
    "phone case": phone_case,
    "mug": mug,
    "t-shirt": t_shirt,
    "tote bag": tote_bag,
    "sneaker": sneaker,
    "backpack": backpack,
    "lamp": lamp,
    "cushion": cushion,
    "watch": watch,
    "dress": dress,
    "umbrella": umbrella,
    "notebook": notebook,
}
