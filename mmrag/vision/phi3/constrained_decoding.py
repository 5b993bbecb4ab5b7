"""A model fills the slots of a script. In: a reader that has read the prompt. Out: fillings.

Only places where there is a choice cost a forward pass; what we write is read along with the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from mmrag.vision.phi3.generation import Reader
from mmrag.vision.phi3.template import Answer, Choice, Filling, Free, Grade, Slot
from mmrag.vision.phi3.tokenizer import Vocabulary

__all__ = ["SlotFiller"]

# Below this probability of a "1", "10" is not asked about: it could move the expected grade by at
# most 0.09, and asking costs a forward pass.
_NOTICEABLE = 0.01


class SlotFiller:
    """Fills slots by what a model finds most likely, see `mmrag.vision.phi3.template.perform`.

    Parameters
    ----------
    reader
        Has read the prompt and stands where the answer begins.
    vocabulary
        Of the reader.
    """

    def __init__(self, reader: Reader, vocabulary: Vocabulary) -> None:
        self._reader, self._vocabulary = reader, vocabulary
        self._read = 0  # ids of the answer that the reader knows

    def __call__(self, slot: Slot, answer: Answer) -> Filling:
        """Fill one slot."""
        match slot:
            case Choice():
                return self._choose(slot.on_offer(answer), answer)
            case Grade():
                return self._grade(answer)
            case Free():
                return self._write(slot.tokens, answer)

    def _choose(self, options: Sequence[str], answer: Answer) -> Filling:
        ids = [self._vocabulary.single(option) for option in options]
        if len(ids) == 1:  # no choice: nothing to ask
            return Filling(options[0], ids, {options[0]: 1.0})
        odds = self._catch_up(answer)[ids].softmax(0)  # (options,)
        best = int(odds.argmax())
        return Filling(options[best], [ids[best]], dict(zip(options, odds.tolist(), strict=True)))

    def _grade(self, answer: Answer) -> Filling:
        digits = self._digits
        odds = self._catch_up(answer)[digits].softmax(0).tolist()  # of the first digit
        ten = odds[1] * self._goes_on() if odds[1] >= _NOTICEABLE else 0.0
        odds[1] -= ten
        grades = {str(grade): p for grade, p in enumerate([*odds, ten])}
        likeliest = max(grades, key=grades.__getitem__)
        return Filling(likeliest, [digits[int(digit)] for digit in likeliest], grades)

    def _goes_on(self) -> float:
        # P("0" behind "1"), among all that does not make a number beyond 10
        digits = self._digits
        logits = self._reader.read([digits[1]])
        self._reader.rewind(1)
        allowed = logits.clone()
        allowed[digits[1:]] = -torch.inf
        return float(allowed.softmax(0)[digits[0]])

    def _write(self, tokens: int, answer: Answer) -> Filling:
        plain, closing = self._alphabet
        logits, ids = self._catch_up(answer), list[int]()
        while logits[plain].max() > logits[closing].max():
            ids.append(int(plain[logits[plain].argmax()]))
            if len(ids) == tokens:
                break
            logits = self._reader.read(ids[-1:])
            self._read += 1
        return Filling(self._vocabulary.text_inside(ids), ids)

    @cached_property
    def _digits(self) -> list[int]:
        return [self._vocabulary.single(str(digit)) for digit in range(10)]

    @cached_property
    def _alphabet(self) -> tuple[Tensor, Tensor]:
        return torch.tensor(self._vocabulary.plain), torch.tensor(self._vocabulary.closing)

    def _catch_up(self, answer: Answer) -> Tensor:
        logits = self._reader.read(answer.ids[self._read :])
        self._read = len(answer.ids)
        return logits  # (vocabulary,)
