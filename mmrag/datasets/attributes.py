"""The names of products, patterns and colours, and which of them go together."""

from __future__ import annotations

__all__ = ["COLOURS", "HELD_OUT", "PATTERNS", "PRODUCTS", "colours_of"]

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

COLOURS = ("red", "blue", "green", "yellow", "pink", "purple", "orange", "black", "brown", "grey", "tan")

_DYED = tuple(colour for colour in COLOURS if colour != "tan")

# The natural colour of a fur comes first.
_COLOURS_OF = {
    "leopard": ("tan", "pink", "grey", "blue"),
    "zebra": ("black", "pink", "brown", "blue"),
    "tiger": ("orange", "pink", "grey", "blue"),
    "camouflage": ("green", "brown", "grey", "blue", "pink"),
    "plain": COLOURS,
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


def colours_of(pattern: str) -> tuple[str, ...]:
    """Name the colours that a pattern comes in.

    Examples
    --------
    >>> colours_of("zebra")
    ('black', 'pink', 'brown', 'blue')
    >>> len(colours_of("striped")), "tan" in colours_of("striped")
    (10, False)
    """
    return _COLOURS_OF.get(pattern, _DYED)
