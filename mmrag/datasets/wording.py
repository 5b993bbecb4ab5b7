"""The sentences of queries. In: a kind and what is wished. Out: a sentence, in lower case.

The demo models know these words and no others: `vocabulary` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from random import Random

from .relevance import Wish
from .synonyms import COLOR_WORDS, PATTERN_ADJECTIVES, PATTERN_NOUNS, PLURALS, PRODUCT_WORDS

__all__ = ["TEMPLATES", "Kind", "plural", "sentence", "vocabulary", "words_of"]


class Kind(StrEnum):
    """What a query shows and asks."""

    SWATCH_PRODUCT = "swatch_product"  # fur or cloth + "phone case with this pattern"
    PRODUCT_PRODUCT = "product_product"  # a product + "tote bag with the same pattern"
    RECOLOR = "recolour"  # a product + "same but red"
    REPATTERN = "repattern"  # a product + "same but with stripes"
    TEXT = "text"
    IMAGE = "picture"


# {item} a product, {items} its plural, {print} a pattern before a noun, {motif} one after "with".
_PRINT_ON = (
    "{item} with this",
    "{item} with this pattern",
    "{item} with this print",
    "{item} with the same pattern",
    "{item} with the same print",
    "{item} in this pattern",
    "{item} in the same print",
    "{item} like this",
    "a {item} with this pattern",
    "a {item} that looks like this",
    "a {item} to match this",
    "i want a {item} with this",
    "i want this pattern on a {item}",
    "i would like a {item} in this print",
    "i need a {item} that matches this",
    "show me a {item} with this pattern",
    "looking for a {item} with this print",
    "do you have a {item} with this pattern?",
    "is there a {item} like this?",
    "the same pattern on a {item}",
    "this pattern but on a {item}",
    "this print, but as a {item}",
    "same print but a {item}",
    "find me the matching {item}",
    "{items} with this pattern",
    "{items} with this",
    "{items} in the same pattern",
    "{items} like this",
    "show me {items} with this print",
    "looking for {items} with the same pattern",
    "do you have {items} in this print?",
    "can i get this pattern on {items}?",
)

TEMPLATES: dict[Kind, tuple[str, ...]] = {
    Kind.SWATCH_PRODUCT: _PRINT_ON,
    Kind.PRODUCT_PRODUCT: _PRINT_ON,
    Kind.RECOLOR: (
        "same but {colour}",
        "same but in {colour}",
        "the same but {colour}",
        "the same in {colour}",
        "the same one in {colour}",
        "this but {colour}",
        "this but in {colour}",
        "this in {colour}",
        "this one but in {colour}",
        "{colour} version of this",
        "{colour} instead",
        "a {colour} one",
        "a {colour} one like this",
        "in {colour} please",
        "make it {colour}",
        "do you have this in {colour}?",
        "do you have it in {colour}?",
        "is there a {colour} one?",
        "can i get this in {colour}?",
        "i want this in {colour}",
        "i want the same in {colour}",
        "i would like it in {colour}",
        "i need this one in {colour}",
        "show me this in {colour}",
        "show me the {colour} one",
        "looking for this in {colour}",
        "exactly this, just {colour}",
        "not this colour, {colour}",
        "same thing, different colour: {colour}",
        "same, other color: {colour}",
    ),
    Kind.REPATTERN: (
        "same but with {motif}",
        "same but {print}",
        "the same with {motif}",
        "the same but with {motif}",
        "this but with {motif}",
        "this but {print}",
        "this with {motif}",
        "this one but {print}",
        "this one but with {motif}",
        "{print} version of this",
        "{print} instead",
        "with {motif} instead",
        "a {print} one",
        "a {print} one like this",
        "with {motif} please",
        "make it {print}",
        "do you have this with {motif}?",
        "do you have it in {print}?",
        "is there a {print} one?",
        "can i get this with {motif}?",
        "i want this with {motif}",
        "i want the same with {motif}",
        "i would like it with {motif}",
        "i need a {print} one",
        "show me this with {motif}",
        "show me the {print} one",
        "looking for this with {motif}",
        "exactly this, just with {motif}",
        "not this pattern, {motif}",
    ),
    Kind.TEXT: (
        "{print} {item}",
        "{print} {items}",
        "a {print} {item}",
        "{item} with {motif}",
        "{items} with {motif}",
        "a {item} with {motif}",
        "{item}, {print}",
        "{item} in {print}",
        "i want a {print} {item}",
        "i want a {item} with {motif}",
        "i would like a {print} {item}",
        "i need {items} with {motif}",
        "show me a {item} with {motif}",
        "show me {print} {items}",
        "show me all {items} with {motif}",
        "looking for a {print} {item}",
        "looking for {items} with {motif}",
        "find me a {print} {item}",
        "do you have {print} {items}?",
        "do you have a {item} with {motif}?",
        "is there a {print} {item}?",
        "can i get a {item} with {motif}?",
        "any {print} {items}?",
    ),
    Kind.IMAGE: ("",),
}

_TEXT_WITH_COLOR = (
    "{colour} {print} {item}",
    "{colour} {print} {items}",
    "a {colour} {print} {item}",
    "{print} {item} in {colour}",
    "{print} {items}, {colour}",
    "a {colour} {item} with {motif}",
    "{colour} {items} with {motif}",
    "{item} with {motif} in {colour}",
    "i want a {colour} {print} {item}",
    "i would like a {print} {item} in {colour}",
    "i need a {colour} {item} with {motif}",
    "show me a {colour} {item} with {motif}",
    "show me {colour} {print} {items}",
    "looking for a {colour} {print} {item}",
    "find me {colour} {items} with {motif}",
    "do you have a {colour} {print} {item}?",
    "is there a {print} {item} in {colour}?",
    "any {colour} {print} {items}?",
)


def sentence(kind: Kind, wish: Wish, dice: Random) -> str:
    """Say a wish as a query of that kind would; what the query's image shows stays unsaid.

    Examples
    --------
    >>> sentence(Kind.RECOLOR, Wish("mug", "zebra", "orange"), Random(1))
    'the same one in orange'
    >>> sentence(Kind.TEXT, Wish("mug", "zebra", "orange"), Random(2))
    'orange zebra mugs'
    """
    named_color = kind is Kind.TEXT and wish.color is not None
    words = dice.choice(_TEXT_WITH_COLOR if named_color else TEMPLATES[kind])
    if wish.product is not None:
        item = dice.choice(PRODUCT_WORDS[wish.product])
        words = words.replace("{items}", plural(item)).replace("{item}", item)
    if wish.pattern is not None:
        words = words.replace("{print}", dice.choice(PATTERN_ADJECTIVES[wish.pattern]))
        words = words.replace("{motif}", dice.choice(PATTERN_NOUNS[wish.pattern]))
    if wish.color is not None:
        words = words.replace("{colour}", dice.choice(COLOR_WORDS[wish.color]))
    return re.sub(r"\ba (?=[aeiou])", "an ", words)


def plural(item: str) -> str:
    """Give the plural of a product's name.

    Examples
    --------
    >>> plural("tote bag"), plural("wrist watch")
    ('tote bags', 'wrist watches')
    """
    return PLURALS.get(item, item + "s")


def words_of(text: str) -> list[str]:
    """Split a text as BERT does before word pieces: lower case, punctuation by itself.

    Examples
    --------
    >>> words_of("T-shirt with this?")
    ['t', '-', 'shirt', 'with', 'this', '?']
    """
    return re.findall(r"\w+|[^\w\s]", text.lower())


def vocabulary() -> list[str]:
    """List every word that a query's sentence or a product's title can hold, in order.

    Examples
    --------
    >>> words = vocabulary()
    >>> {"sneakers", "rucksack", "camo", "tartan", "gray", "?"} <= set(words)
    True
    """
    return sorted({word for text in _all_wording() for word in words_of(text)})


def _all_wording() -> Iterator[str]:
    yield "an"
    for template in chain(_TEXT_WITH_COLOR, *TEMPLATES.values()):
        yield re.sub(r"{\w+}", "", template)
    for item in chain(*PRODUCT_WORDS.values()):
        yield from (item, plural(item))
    for names in (PATTERN_ADJECTIVES, PATTERN_NOUNS, COLOR_WORDS):
        yield from chain(*names.values())
