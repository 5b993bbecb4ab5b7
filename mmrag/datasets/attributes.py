"""Products, patterns and colors: names, prices, RGB values and their mixtures, and the grading by attributes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = [
    "BLACK", "COLORS", "CREAM", "PATTERNS", "PRICES", "PRODUCTS", "RGB", "WHITE", "Color", "Target",
    "colors_of", "jitter", "mix",
]  # fmt: skip

Color = tuple[float, float, float]  # red, green and blue, 0..255

# Lowest and highest price.
PRICES = {
    "phone case": (9, 24), "mug": (6, 16), "t-shirt": (12, 29), "tote bag": (10, 27), "sneaker": (34, 89),
    "backpack": (29, 79), "lamp": (24, 69), "cushion": (11, 29), "watch": (39, 149), "dress": (29, 89),
    "umbrella": (14, 34), "notebook": (4, 14),
}  # fmt: skip
RGB: dict[str, Color] = {
    "red": (204, 44, 50), "blue": (48, 98, 206), "green": (58, 148, 80), "yellow": (244, 204, 54),
    "pink": (242, 136, 178), "purple": (128, 78, 184), "orange": (242, 134, 44), "black": (44, 44, 50),
    "brown": (128, 82, 50), "grey": (150, 153, 160), "tan": (216, 180, 124),
}  # fmt: skip
BLACK, CREAM, WHITE = (0, 0, 0), (250, 246, 236), (255, 255, 255)

PRODUCTS, COLORS = tuple(PRICES), tuple(RGB)
PATTERNS = (
    "leopard", "zebra", "tiger", "camouflage", "polka dot", "striped",
    "plaid", "floral", "star", "heart", "chevron", "plain",
)  # fmt: skip

# The natural color of a fur comes first.
_COLORS_OF = {
    "leopard": ("tan", "pink", "grey", "blue"),
    "zebra": ("black", "pink", "brown", "blue"),
    "tiger": ("orange", "pink", "grey", "blue"),
    "camouflage": ("green", "brown", "grey", "blue", "pink"),
    "plain": COLORS,
}


def colors_of(pattern: str) -> tuple[str, ...]:
    """Return the colors that a pattern comes in.

    Examples
    --------
    >>> colors_of("zebra")
    ('black', 'pink', 'brown', 'blue')
    """
    return _COLORS_OF.get(pattern) or tuple(color for color in COLORS if color != "tan")


@dataclass(frozen=True)
class Target:
    """Attributes that a query looks for, and the grades of products against them.

    Attributes
    ----------
    product, pattern, color : str, optional
        None leaves an attribute free. Default: None.
    """

    product: str | None = None
    pattern: str | None = None
    color: str | None = None

    def grade(self, product: str, pattern: str, color: str) -> int:
        """Grade a product 2 (exact), 1 (partial: all but one of several attributes) or 0.

        Examples
        --------
        >>> target = Target("mug", "zebra", "black")
        >>> [target.grade(*item) for item in (("mug", "zebra", "black"), ("lamp", "zebra", "black"))]
        [2, 1]
        """
        pairs = zip((self.product, self.pattern, self.color), (product, pattern, color), strict=True)
        matches = [wanted == actual for wanted, actual in pairs if wanted]
        if all(matches):
            return 2
        return int(len(matches) > 1 and matches.count(False) == 1)


def mix(one: Color, other: Color, share: float) -> Color:
    """Mix two colors; ``share`` (0..1) is the part of the second."""
    (r1, g1, b1), (r2, g2, b2) = one, other
    keep = 1 - share
    return (r1 * keep + r2 * share, g1 * keep + g2 * share, b1 * keep + b2 * share)


def jitter(color: Color, rng: Random, reach: float = 10) -> Color:
    """Shift each channel at random by up to ``reach``."""
    red, green, blue = (min(255.0, max(0.0, c + rng.uniform(-reach, reach))) for c in color)
    return (red, green, blue)
