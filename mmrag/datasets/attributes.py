"""The names of products, patterns and colors, and which of them go together."""

from __future__ import annotations

__all__ = ["COLORS", "HELD_OUT", "PATTERNS", "PRODUCTS", "colors_of"]

PRODUCTS = (
    "phone case",
    "mug",
    "t-shirt",
    "tote bag",
    "sneaker",
    "backpack",
    "lamp",
    "cushion",
    "watch",
    "dress",
    "umbrella",
    "notebook",
)

PATTERNS = (
    "leopard",
    "zebra",
    "tiger",
    "camouflage",
    "polka dot",
    "striped",
    "plaid",
    "floral",
    "star",
    "heart",
    "chevron",
    "plain",
)

COLORS = ("red", "blue", "green", "yellow", "pink", "purple", "orange", "black", "brown", "grey", "tan")

_DYED = tuple(color for color in COLORS if color != "tan")

# The natural color of a fur comes first.
_COLORS_OF = {
    "leopard": ("tan", "pink", "grey", "blue"),
    "zebra": ("black", "pink", "brown", "blue"),
    "tiger": ("orange", "pink", "grey", "blue"),
    "camouflage": ("green", "brown", "grey", "blue", "pink"),
    "plain": COLORS,
}

HELD_OUT = frozenset(
    {
        ("phone case", "floral"),
        ("mug", "zebra"),
        ("mug", "heart"),
        ("t-shirt", "plaid"),
        ("t-shirt", "leopard"),
        ("tote bag", "leopard"),
        ("sneaker", "camouflage"),
        ("sneaker", "star"),
        ("backpack", "heart"),
        ("backpack", "tiger"),
        ("lamp", "polka dot"),
        ("cushion", "tiger"),
        ("cushion", "floral"),
        ("watch", "striped"),
        ("dress", "chevron"),
        ("dress", "zebra"),
        ("umbrella", "star"),
        ("umbrella", "camouflage"),
        ("notebook", "plain"),
        ("notebook", "polka dot"),
    }
)
"""Pairs that an evaluation training never sees: its figures on them measure composition."""


def colors_of(pattern: str) -> tuple[str, ...]:
    """Name the colors that a pattern comes in.

    Examples
    --------
    >>> colors_of("zebra")
    ('black', 'pink', 'brown', 'blue')
    >>> len(colors_of("striped")), "tan" in colors_of("striped")
    (10, False)
    """
    return _COLORS_OF.get(pattern, _DYED)
