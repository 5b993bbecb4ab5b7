"""Answer template with fixed text and slots filled by constrained decoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

__all__ = [
    "AnswerTemplate",
    "ChoiceSlot",
    "ComputedText",
    "FilledTemplate",
    "FixedText",
    "GradeSlot",
    "Slot",
    "SlotFiller",
    "SlotValue",
    "TextSlot",
    "encode_template",
    "fill_template",
    "max_tokens",
]


@dataclass(frozen=True)
class FixedText:
    """Text that is always the same."""

    text: str


@dataclass(frozen=True)
class ComputedText:
    """Text computed from the slots before it, at most ``max_tokens`` long."""

    compute: Callable[[FilledTemplate], str]
    max_tokens: int = 3  # enough for a label


@dataclass(frozen=True)
class ChoiceSlot:
    """One of ``options``, each a single token, without those chosen in the slots ``exclude``."""

    name: str
    options: tuple[str, ...]
    exclude: tuple[str, ...] = ()

    def available(self, filled: FilledTemplate) -> list[str]:
        """Return the options not chosen before."""
        chosen = {filled.texts[name] for name in self.exclude}
        return [option for option in self.options if option not in chosen]


@dataclass(frozen=True)
class GradeSlot:
    """A whole number from 0 to 10."""

    name: str


@dataclass(frozen=True)
class TextSlot:
    """Free text of at most ``max_tokens`` tokens; a quote ends it."""

    name: str
    max_tokens: int


Slot = ChoiceSlot | GradeSlot | TextSlot
AnswerTemplate = tuple[FixedText | ComputedText | Slot, ...]


@dataclass(frozen=True)
class SlotValue:
    """Text and ids of a slot, and the probability of each alternative."""

    text: str
    ids: list[int]
    probabilities: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass
class FilledTemplate:
    """An answer, as far as it is written.

    Attributes
    ----------
    text : str
        Fixed texts and slots.
    ids : list of int
        Token ids of ``text``.
    texts : dict
        Text of each slot, by name.
    probabilities : dict
        Probability of each alternative, by slot name.
    spans : dict
        Range of each slot within ``ids``. Behind a `TextSlot`, ``spans[name].stop`` is the token that closes it.
    """

    text: str = ""
    ids: list[int] = field(default_factory=list[int])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    probabilities: dict[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    spans: dict[str, range] = field(default_factory=dict[str, range])


SlotFiller = Callable[[Slot, FilledTemplate], SlotValue]
"""Fills a slot; the `FilledTemplate` holds everything before it."""


def fill_template(template: AnswerTemplate, fill_slot: SlotFiller, tokenizer: Phi3Tokenizer) -> FilledTemplate:
    """Write an answer from beginning to end; ``fill_slot`` supplies the value of each slot."""
    filled, pending = FilledTemplate(), ""
    for piece in template:
        # texts that follow each other are tokenized as one, as they would be in a document
        if isinstance(piece, FixedText):
            pending += piece.text
        elif isinstance(piece, ComputedText):
            pending += piece.compute(filled)
        else:
            _append_text(filled, pending, tokenizer)
            pending = ""
            value = fill_slot(piece, filled)
            filled.spans[piece.name] = range(len(filled.ids), len(filled.ids) + len(value.ids))
            filled.text += value.text
            filled.ids += value.ids
            filled.texts[piece.name] = value.text
            filled.probabilities[piece.name] = value.probabilities
    _append_text(filled, pending, tokenizer)
    return filled


def encode_template(template: AnswerTemplate, texts: Mapping[str, str], tokenizer: Phi3Tokenizer) -> FilledTemplate:
    """Fill a template with given texts, by slot name, for teacher forcing: with the ids that decoding produces."""

    def fill_slot(slot: Slot, filled: FilledTemplate) -> SlotValue:
        text = texts[slot.name]
        return SlotValue(text, tokenizer.encode_continuation(text), {text: 1.0})

    return fill_template(template, fill_slot, tokenizer)


def max_tokens(template: AnswerTemplate, tokenizer: Phi3Tokenizer) -> int:
    """Return the maximum number of tokens of an answer."""
    total = 0
    for piece in template:
        if isinstance(piece, FixedText):
            total += len(tokenizer.encode_continuation(piece.text)) + 1  # a closing quote may precede it
        elif isinstance(piece, TextSlot | ComputedText):
            total += piece.max_tokens
        else:
            total += 2  # "10", or a letter
    return total


def _append_text(filled: FilledTemplate, text: str, tokenizer: Phi3Tokenizer) -> None:
    if text:
        filled.ids += tokenizer.encode_continuation(text) if filled.ids else tokenizer.encode_start(text)
        filled.text += text
