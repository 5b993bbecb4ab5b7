"""Sentences of queries, and the words for products, patterns and colors."""

from __future__ import annotations

import re
from enum import StrEnum
from random import Random
from typing import NoReturn

from mmrag.datasets.attributes import COLORS, Target
from mmrag.errors import QueryError

__all__ = [
    "COLOR_WORDS", "PATTERN_ADJECTIVES", "PATTERN_NOUNS", "PRODUCT_WORDS", "TEMPLATES", "TEXT_WITH_COLOR",
    "QueryType", "plural", "sentence",
]  # fmt: skip


class QueryType(StrEnum):
    """What a query shows and what it asks for. The values are part of seeds and ids, hence their spelling."""

    SWATCH_PRODUCT = "swatch_product"  # fur or cloth + "phone case with this pattern"
    PRODUCT_PRODUCT = "product_product"  # a product + "tote bag with the same pattern"
    RECOLOR = "recolour"  # a product + "same but red"
    REPATTERN = "repattern"  # a product + "same but with stripes"
    TEXT = "text"
    IMAGE = "picture"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise QueryError(f"No query type {value!r}. Use one of: {', '.join(cls)}")


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))


# {item} is a product, {items} its plural, {print} a pattern before a noun, {motif} one after "with".
_PRINT_ON = _phrases("""
    {item} with this | {item} with this pattern | {item} with this print | {item} with the same pattern |
    {item} with the same print | {item} in this pattern | {item} in the same print | {item} like this |
    a {item} with this pattern | a {item} that looks like this | a {item} to match this | i want a {item} with this |
    i want this pattern on a {item} | i would like a {item} in this print | i need a {item} that matches this |
    show me a {item} with this pattern | looking for a {item} with this print |
    do you have a {item} with this pattern? | is there a {item} like this? | the same pattern on a {item} |
    this pattern but on a {item} | this print, but as a {item} | same print but a {item} |
    find me the matching {item} | {items} with this pattern | {items} with this | {items} in the same pattern |
    {items} like this | show me {items} with this print | looking for {items} with the same pattern |
    do you have {items} in this print? | can i get this pattern on {items}?
""")

TEMPLATES: dict[QueryType, tuple[str, ...]] = {
    QueryType.SWATCH_PRODUCT: _PRINT_ON,
    QueryType.PRODUCT_PRODUCT: _PRINT_ON,
    QueryType.RECOLOR: _phrases("""
        same but {color} | same but in {color} | the same but {color} | the same in {color} |
        the same one in {color} | this but {color} | this but in {color} | this in {color} | this one but in {color} |
        {color} version of this | {color} instead | a {color} one | a {color} one like this | in {color} please |
        make it {color} | do you have this in {color}? | do you have it in {color}? | is there a {color} one? |
        can i get this in {color}? | i want this in {color} | i want the same in {color} |
        i would like it in {color} | i need this one in {color} | show me this in {color} | show me the {color} one |
        looking for this in {color} | exactly this, just {color} | not this colour, {color} |
        same thing, different colour: {color} | same, other color: {color}
    """),
    QueryType.REPATTERN: _phrases("""
        same but with {motif} | same but {print} | the same with {motif} | the same but with {motif} |
        this but with {motif} | this but {print} | this with {motif} | this one but {print} |
        this one but with {motif} | {print} version of this | {print} instead | with {motif} instead | a {print} one |
        a {print} one like this | with {motif} please | make it {print} | do you have this with {motif}? |
        do you have it in {print}? | is there a {print} one? | can i get this with {motif}? |
        i want this with {motif} | i want the same with {motif} | i would like it with {motif} |
        i need a {print} one | show me this with {motif} | show me the {print} one | looking for this with {motif} |
        exactly this, just with {motif} | not this pattern, {motif}
    """),
    QueryType.TEXT: _phrases("""
        {print} {item} | {print} {items} | a {print} {item} | {item} with {motif} | {items} with {motif} |
        a {item} with {motif} | {item}, {print} | {item} in {print} | i want a {print} {item} |
        i want a {item} with {motif} | i would like a {print} {item} | i need {items} with {motif} |
        show me a {item} with {motif} | show me {print} {items} | show me all {items} with {motif} |
        looking for a {print} {item} | looking for {items} with {motif} | find me a {print} {item} |
        do you have {print} {items}? | do you have a {item} with {motif}? | is there a {print} {item}? |
        can i get a {item} with {motif}? | any {print} {items}?
    """),
    QueryType.IMAGE: ("",),
}

TEXT_WITH_COLOR = _phrases("""
    {color} {print} {item} | {color} {print} {items} | a {color} {print} {item} | {print} {item} in {color} |
    {print} {items}, {color} | a {color} {item} with {motif} | {color} {items} with {motif} |
    {item} with {motif} in {color} | i want a {color} {print} {item} | i would like a {print} {item} in {color} |
    i need a {color} {item} with {motif} | show me a {color} {item} with {motif} | show me {color} {print} {items} |
    looking for a {color} {print} {item} | find me {color} {items} with {motif} |
    do you have a {color} {print} {item}? | is there a {print} {item} in {color}? | any {color} {print} {items}?
""")

# The first word of each is the catalog's own.
PRODUCT_WORDS: dict[str, tuple[str, ...]] = {
    "phone case": _phrases(
        "phone case | phone cover | case | cover | mobile case | mobile phone case |"
        "smartphone case | smartphone cover | phone shell"
    ),
    "mug": ("mug", "cup", "coffee mug", "coffee cup", "tea cup", "teacup"),
    "t-shirt": ("t-shirt", "tee", "shirt", "tee shirt", "tshirt", "top"),
    "tote bag": ("tote bag", "tote", "shopping bag", "shopper", "handbag", "carrier bag"),
    "sneaker": ("sneaker", "shoe", "trainer", "sports shoe", "running shoe", "gym shoe"),
    "backpack": ("backpack", "rucksack", "school bag", "knapsack", "back pack"),
    "lamp": ("lamp", "table lamp", "desk lamp", "bedside lamp", "night lamp"),
    "cushion": ("cushion", "pillow", "throw pillow", "sofa cushion", "scatter cushion"),
    "watch": ("watch", "wristwatch", "wrist watch"),
    "dress": ("dress", "frock", "gown", "summer dress", "sundress"),
    "umbrella": ("umbrella", "parasol", "brolly"),
    "notebook": ("notebook", "journal", "notepad", "note book", "exercise book", "diary"),
}

PATTERN_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "leopard": ("leopard", "leopard print", "leopard spotted", "leopard pattern"),
    "zebra": ("zebra", "zebra print", "zebra striped", "zebra pattern"),
    "tiger": ("tiger", "tiger print", "tiger striped", "tiger pattern"),
    "camouflage": ("camouflage", "camo", "army", "military", "camouflaged", "camo print"),
    "polka dot": ("polka dot", "dotted", "dotty", "polka dotted", "polka"),
    "striped": ("striped", "stripy", "stripey", "stripe", "stripes print"),
    "plaid": ("plaid", "checked", "tartan", "chequered", "checkered", "check"),
    "floral": ("floral", "flowery", "flower", "flowered", "floral print", "flower print"),
    "star": ("star", "starry", "star print", "star pattern"),
    "heart": ("heart", "heart print", "heart pattern"),
    "chevron": ("chevron", "zigzag", "zig-zag", "zig zag", "zigzagged"),
    "plain": ("plain", "solid", "unpatterned", "simple", "patternless"),
}

PATTERN_NOUNS: dict[str, tuple[str, ...]] = {
    "leopard": ("leopard print", "leopard spots", "leopard fur", "a leopard pattern", "leopard"),
    "zebra": ("zebra stripes", "zebra print", "zebra fur", "a zebra pattern", "zebra"),
    "tiger": ("tiger stripes", "tiger print", "tiger fur", "a tiger pattern", "tiger"),
    "camouflage": ("camouflage", "camo", "camo print", "a camouflage pattern", "an army print"),
    "polka dot": ("polka dots", "dots", "a polka dot pattern", "little dots", "a dotted pattern"),
    "striped": ("stripes", "lines", "a striped pattern", "a stripe", "many stripes"),
    "plaid": ("checks", "plaid", "tartan", "a checked pattern", "squares", "a plaid pattern"),
    "floral": ("flowers", "a floral print", "a floral pattern", "a flower print", "blossoms"),
    "star": ("stars", "a star pattern", "little stars", "a star print"),
    "heart": ("hearts", "a heart pattern", "little hearts", "a heart print"),
    "chevron": ("zigzags", "chevrons", "a zigzag pattern", "a chevron pattern", "zig-zags"),
    "plain": ("no pattern", "no print", "nothing on it", "no pattern at all", "a plain colour"),
}
"""Patterns after "with"."""

COLOR_WORDS: dict[str, tuple[str, ...]] = {color: (color,) for color in COLORS} | {
    "purple": ("purple", "violet"), "grey": ("grey", "gray"), "tan": ("tan", "beige", "sand"),
}  # fmt: skip


def sentence(query_type: QueryType, target: Target, rng: Random) -> str:
    """Phrase a target as a query of a type; attributes that the query's image shows are not named.

    Examples
    --------
    >>> sentence(QueryType.TEXT, Target("mug", "zebra", "orange"), Random(2))
    'orange zebra mugs'
    """
    names_color = query_type is QueryType.TEXT and target.color is not None
    words = rng.choice(TEXT_WITH_COLOR if names_color else TEMPLATES[query_type])
    if target.product is not None:
        item = rng.choice(PRODUCT_WORDS[target.product])
        words = words.replace("{items}", plural(item)).replace("{item}", item)
    if target.pattern is not None:
        words = words.replace("{print}", rng.choice(PATTERN_ADJECTIVES[target.pattern]))
        words = words.replace("{motif}", rng.choice(PATTERN_NOUNS[target.pattern]))
    if target.color is not None:
        words = words.replace("{color}", rng.choice(COLOR_WORDS[target.color]))
    return re.sub(r"\ba (?=[aeiou])", "an ", words)


def plural(item: str) -> str:
    """Return the plural of a product's name.

    Examples
    --------
    >>> plural("tote bag"), plural("wrist watch")
    ('tote bags', 'wrist watches')
    """
    if item.endswith("y"):
        return item[:-1] + "ies"
    return item + ("es" if item.endswith(("ch", "ss")) else "s")
