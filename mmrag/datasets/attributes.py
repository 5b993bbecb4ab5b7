"""Names of products, patterns and colors, the colors of each pattern, and the grading of products by attributes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COLORS", "HELD_OUT_PAIRS", "PATTERNS", "PRODUCTS", "Target", "colors_of"]

PRODUCTS = (
    "phone case", "mug", "t-shirt", "tote bag", "sneaker", "backpack",
    "lamp", "cushion", "watch", "dress", "umbrella", "notebook",
)  # fmt: skip
PATTERNS = (
    "leopard", "zebra", "tiger", "camouflage", "polka dot", "striped",
    "plaid", "floral", "star", "heart", "chevron", "plain",
)  # fmt: skip
COLORS = ("red", "blue", "green", "yellow", "pink", "purple", "orange", "black", "brown", "grey", "tan")

_DYES = tuple(color for color in COLORS if color != "tan")

# The natural color of a fur comes first.
_COLORS_OF = {
    "leopard": ("tan", "pink", "grey", "blue"),
    "zebra": ("black", "pink", "brown", "blue"),
    "tiger": ("orange", "pink", "grey", "blue"),
    "camouflage": ("green", "brown", "grey", "blue", "pink"),
    "plain": COLORS,
}

HELD_OUT_PAIRS = frozenset({
    ("phone case", "floral"), ("mug", "zebra"), ("mug", "heart"), ("t-shirt", "plaid"), ("t-shirt", "leopard"),
    ("tote bag", "leopard"), ("sneaker", "camouflage"), ("sneaker", "star"), ("backpack", "heart"),
    ("backpack", "tiger"), ("lamp", "polka dot"), ("cushion", "tiger"), ("cushion", "floral"), ("watch", "striped"),
    ("dress", "chevron"), ("dress", "zebra"), ("umbrella", "star"), ("umbrella", "camouflage"),
    ("notebook", "plain"), ("notebook", "polka dot"),
})  # fmt: skip
"""Pairs of product and pattern excluded from training, to measure compositional generalization."""


def colors_of(pattern: str) -> tuple[str, ...]:
    """Return the colors that a pattern comes in.

    Examples
    --------
    >>> colors_of("zebra")
    ('black', 'pink', 'brown', 'blue')
    >>> len(colors_of("striped")), "tan" in colors_of("striped")
    (10, False)
    """
    return _COLORS_OF.get(pattern, _DYES)


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
        >>> target.grade("mug", "zebra", "black"), target.grade("mug", "zebra", "pink")
        (2, 1)
        >>> target.grade("lamp", "zebra", "black"), target.grade("mug", "star", "pink")
        (1, 0)
        """
        return (self.fine_grade(product, pattern, color) + 1) // 2

    def fine_grade(self, product: str, pattern: str, color: str) -> int:
        """Grade a product 3 (exact), 2 (partial, right product), 1 (partial, wrong product) or 0.

        Examples
        --------
        >>> target = Target("mug", "zebra")
        >>> target.fine_grade("mug", "zebra", "pink"), target.fine_grade("mug", "star", "pink")
        (3, 2)
        >>> target.fine_grade("lamp", "zebra", "pink"), target.fine_grade("lamp", "star", "pink")
        (1, 0)
        """
        pairs = zip((self.product, self.pattern, self.color), (product, pattern, color), strict=True)
        matches = [wanted == actual for wanted, actual in pairs if wanted]
        missed = matches.count(False)
        if missed == 0:
            return 3
        if missed > 1 or len(matches) == 1:
            return 0
        return 2 if self.product in (None, product) else 1
