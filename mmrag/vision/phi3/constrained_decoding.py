"""Constrained decoding: a model fills the slots of an answer template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from mmrag.vision.phi3.generation import Decoder
from mmrag.vision.phi3.template import ChoiceSlot, FilledTemplate, GradeSlot, Slot, SlotValue, TextSlot
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

__all__ = ["MIN_PROBABILITY", "ConstrainedDecoder"]

MIN_PROBABILITY = 0.01
"""Below this probability of a "1", the probability of "10" counts as 0.

It could move the expected grade by at most 0.09, and computing it costs a forward pass.
"""


class ConstrainedDecoder:
    """Fills each slot with the most likely value, see `mmrag.vision.phi3.template.fill_template`.

    Fixed text costs no forward pass of its own: it is read together with the next slot.

    Parameters
    ----------
    decoder : Decoder
        Has read the prompt.
    tokenizer : Phi3Tokenizer
        Of the same checkpoint.
    """

    def __init__(self, decoder: Decoder, tokenizer: Phi3Tokenizer) -> None:
        self._decoder, self._tokenizer = decoder, tokenizer
        self._num_read = 0  # ids of the answer that the decoder has read

    def __call__(self, slot: Slot, filled: FilledTemplate) -> SlotValue:
        """Fill one slot."""
        match slot:
            case ChoiceSlot():
                return self._choose(slot.available(filled), filled)
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
        ten = first_digit[1] * self._p_ten() if first_digit[1] >= MIN_PROBABILITY else 0.0
        first_digit[1] -= ten
        probabilities = {str(grade): p for grade, p in enumerate([*first_digit, ten])}
        best = max(probabilities, key=probabilities.__getitem__)
        return SlotValue(best, [digits[int(digit)] for digit in best], probabilities)

    def _p_ten(self) -> float:
        """Return P("0" after "1"), among all continuations that make no number past 10."""
        digits = self._digit_ids
        logits = self._decoder.step([digits[1]]).clone()
        self._decoder.rollback(1)
        logits[digits[1:]] = -torch.inf
        return float(logits.softmax(0)[digits[0]])

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
