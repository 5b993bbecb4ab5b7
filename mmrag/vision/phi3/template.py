"""Answer templates of fixed text and slots, and constrained decoding, with which a model fills the slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from mmrag.vision.phi3.generation import CachedDecoder
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

__all__ = [
    "AnswerTemplate",
    "ChoiceSlot",
    "ComputedText",
    "ConstrainedDecoder",
    "FilledTemplate",
    "GradeSlot",
    "TextSlot",
    "encode_template",
    "fill_template",
    "max_tokens",
]

# Below this probability of a "1", the probability of "10" counts as 0: it could move the
# expected grade by at most 0.09, and computing it costs a forward pass.
_MIN_PROBABILITY = 0.01


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
    max_tokens: ClassVar[int] = 1


@dataclass(frozen=True)
class GradeSlot:
    """A whole number from 0 to 10."""

    name: str
    max_tokens: ClassVar[int] = 2


@dataclass(frozen=True)
class TextSlot:
    """Free text of at most ``max_tokens`` tokens; a quote ends it."""

    name: str
    max_tokens: int


Slot = ChoiceSlot | GradeSlot | TextSlot
AnswerTemplate = tuple[str | ComputedText | Slot, ...]
"""Pieces of an answer in order; a string is fixed text."""


@dataclass(frozen=True)
class SlotValue:
    """Text and ids of a slot, and the probability of each alternative."""

    text: str
    ids: list[int]
    probabilities: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass
class FilledTemplate:
    """An answer as far as it is written, with the text, probabilities and range of ids of each slot by name."""

    text: str = ""
    ids: list[int] = field(default_factory=list[int])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    probabilities: dict[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    spans: dict[str, range] = field(default_factory=dict[str, range])  # a text's stop is the token that closes it


def fill_template(
    template: AnswerTemplate, fill_slot: Callable[[Slot, FilledTemplate], SlotValue], tokenizer: Phi3Tokenizer
) -> FilledTemplate:
    """Write an answer from beginning to end; ``fill_slot`` gets each slot and the answer before it."""
    filled, pending = FilledTemplate(), ""
    for piece in template:
        # texts that follow each other are tokenized as one, as they would be in a document
        if isinstance(piece, str):
            pending += piece
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
    # a closing quote may precede each fixed text
    fixed = sum(len(tokenizer.encode_continuation(piece)) + 1 for piece in template if isinstance(piece, str))
    return fixed + sum(piece.max_tokens for piece in template if not isinstance(piece, str))


class ConstrainedDecoder:
    """Fills each slot with the most likely value, for `fill_template`; ``decoder`` has read the prompt.

    Fixed text costs no forward pass of its own: it is read together with the next slot.
    """

    def __init__(self, decoder: CachedDecoder, tokenizer: Phi3Tokenizer) -> None:
        self._decoder, self._tokenizer = decoder, tokenizer
        self._num_read = 0  # ids of the answer that the decoder has read

    def __call__(self, slot: Slot, filled: FilledTemplate) -> SlotValue:
        """Fill one slot."""
        match slot:
            case ChoiceSlot():
                chosen = {filled.texts[name] for name in slot.exclude}
                return self._choose([option for option in slot.options if option not in chosen], filled)
            case GradeSlot():
                return self._grade(filled)
            case TextSlot():
                return self._write(slot.max_tokens, filled)

    def _choose(self, options: Sequence[str], filled: FilledTemplate) -> SlotValue:
        ids = [self._tokenizer.single_token_id(option) for option in options]
        if len(ids) == 1:  # no choice, no forward pass
            return SlotValue(options[0], ids, {options[0]: 1.0})
        probabilities = self._next_logits(filled)[ids].softmax(0)  # (options,)
        best = int(probabilities.argmax())
        return SlotValue(options[best], [ids[best]], dict(zip(options, probabilities.tolist(), strict=True)))

    def _grade(self, filled: FilledTemplate) -> SlotValue:
        digits = self._digit_ids
        first_digit = self._next_logits(filled)[digits].softmax(0).tolist()
        ten = 0.0
        if first_digit[1] >= _MIN_PROBABILITY:
            logits = self._decoder.step([digits[1]]).clone()
            self._decoder.rollback(1)
            logits[digits[1:]] = -torch.inf  # no number past 10
            ten = first_digit[1] * float(logits.softmax(0)[digits[0]])
            first_digit[1] -= ten
        probabilities = {str(grade): p for grade, p in enumerate([*first_digit, ten])}
        best = max(probabilities, key=probabilities.__getitem__)
        return SlotValue(best, [digits[int(digit)] for digit in best], probabilities)

    def _write(self, max_tokens: int, filled: FilledTemplate) -> SlotValue:
        string_ids, end_ids = self._tokenizer.string_token_ids, self._tokenizer.string_end_ids
        logits, ids = self._next_logits(filled), list[int]()
        while logits[string_ids].max() > logits[end_ids].max():
            ids.append(int(string_ids[logits[string_ids].argmax()]))
            if len(ids) == max_tokens:
                break
            logits = self._decoder.step(ids[-1:])
            self._num_read += 1
        return SlotValue(self._tokenizer.decode_continuation(ids), ids)

    @cached_property
    def _digit_ids(self) -> list[int]:
        return [self._tokenizer.single_token_id(str(digit)) for digit in range(10)]

    def _next_logits(self, filled: FilledTemplate) -> Tensor:
        logits = self._decoder.step(filled.ids[self._num_read :])
        self._num_read = len(filled.ids)
        return logits  # (vocabulary,)


def _append_text(filled: FilledTemplate, text: str, tokenizer: Phi3Tokenizer) -> None:
    if text:
        filled.ids += tokenizer.encode_continuation(text) if filled.ids else tokenizer.encode_start(text)
        filled.text += text
