"""What a product is made of: its print, its main color, its trim and metal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .canvas import Canvas
from .palette import RGB, Color, Paint, darker, jittered, mix

__all__ = ["Drawer", "Look"]

_METALS: tuple[Color, ...] = ((186, 190, 196), (214, 178, 104), (120, 124, 132))


@dataclass(frozen=True)
class Look:
    """The materials of one product."""

    print: Paint
    main: Color
    trim: Color
    metal: Color

    @classmethod
    def made(cls, pattern: str, color: str, print: Paint, dice: Random) -> Look:
        """Choose trim and metal to go with a print."""
        main = jittered(RGB[color], dice, reach=4)
        if pattern == "tiger":
            main = mix(main, (40, 20, 0), 0.3)
        return cls(print, main, darker(main, 0.5), dice.choice(_METALS))


Drawer = Callable[[Canvas, Look, Random], None]
"""Lays the parts of one product on the canvas."""
