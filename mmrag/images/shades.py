"""Deep greys in eight bits. In: an image of any mode. Out: one that can be shown.

Pillow cuts what is above 255: an image of 16 bits would be shown, embedded and ranked as white.
"""

from __future__ import annotations

import math
from typing import cast

from PIL import Image

__all__ = ["in_eight_bits"]

_WHITE = 65_535


def in_eight_bits(image: Image.Image) -> Image.Image:
    """Bring greys of 16 or 32 bits, and numbers, into mode L; other modes stay as they are.

    Sixteen bits go from black to white, as PNG and TIFF say. Other numbers, of which nobody says
    what is white, do so from the least to the greatest, unless they are shades from 0 to 255.

    Examples
    --------
    >>> in_eight_bits(Image.new("I;16", (1, 1), 65_535 // 2)).getpixel((0, 0))
    127
    """
    if image.mode.startswith("I;16"):
        low, high = 0.0, float(_WHITE)
        numbers = image.convert("I")
    elif image.mode in ("I", "F"):
        low, high = cast(tuple[float, float], image.getextrema())
        numbers = image
    else:
        return image
    if low < 0 or high > 255 or (high <= 1 and image.mode == "F"):
        numbers = _spread(numbers, low, high)
    shades = numbers.convert("L")
    shades.info.pop("transparency", None)  # it was a number, too
    return shades


def _spread(numbers: Image.Image, low: float, high: float) -> Image.Image:
    if not math.isfinite(high - low) or high <= low:
        return numbers
    scale = 255 / (high - low)
    return numbers.convert("F").point(lambda number: number * scale + (0.5 - low * scale))
