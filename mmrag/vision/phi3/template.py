"""The script of an answer: what we write, and where the model may choose.

In: a script, and somebody who fills its slots. Out: the whole answer, as text and as ids. The same
loop serves a model that answers (`slots.py`) and a trainer that dictates (`script_ids`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mmrag.vision.phi3.tokenizer import Vocabulary

__all__ = [
    "Answer",
    "Choice",
    "Computed",
    "Filling",
    "Free",
    "Grade",
    "Performer",
    "Piece",
    "Script",
    "Slot",
    "Text",
    "longest",
    "perform",
    "script_ids",
]


@dataclass(frozen=True)
class Text:
    """Ours, word for word."""

    text: str


@dataclass(frozen=True)
class Computed:
    """Ours too, but it depends on what was chosen before; ``tokens`` bounds its length."""

    write: Callable[[Answer], str]
    tokens: int = 3  # a label has no more


@dataclass(frozen=True)
class Choice:
    """The model takes one of ``options``, each a single token.

    ``unlike`` names earlier slots; what was chosen there is no longer on offer.
    """

    name: str
    options: tuple[str, ...]
    unlike: tuple[str, ...] = ()

    def on_offer(self, answer: Answer) -> list[str]:
        """Options still to be had."""
        taken = {answer.texts[name] for name in self.unlike}
        return [option for option in self.options if option not in taken]


@dataclass(frozen=True)
class Grade:
    """The model gives a whole number from 0 to 10."""

    name: str


@dataclass(frozen=True)
class Free:
    """The model writes at most ``tokens`` tokens, and stops where a quote would close the text."""

    name: str
    tokens: int


Slot = Choice | Grade | Free
Piece = Text | Computed | Slot
Script = tuple[Piece, ...]


@dataclass(frozen=True)
class Filling:
    """What stands in a slot: text, its ids, and how probable each alternative was."""

    text: str
    ids: list[int]
    odds: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass
class Answer:
    """An answer as far as it is written.

    Attributes
    ----------
    text, ids
        The answer so far, ours and the model's.
    texts, odds, places
        By slot: its text, how probable each alternative was, where its ids stand in ``ids``.
        Behind a `Free` slot, ``places[name].stop`` is the token that closes it.
    """

    text: str = ""
    ids: list[int] = field(default_factory=list[int])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    odds: dict[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    places: dict[str, range] = field(default_factory=dict[str, range])


class Performer(Protocol):
    """Whoever fills the slots of a script."""

    def __call__(self, slot: Slot, answer: Answer) -> Filling:
        """Fill ``slot``; ``answer.ids`` hold everything before it."""
        ...


def perform(script: Script, performer: Performer, vocabulary: Vocabulary) -> Answer:
    """Write the answer from beginning to end: our pieces as they are, slots by ``performer``."""
    answer, pending = Answer(), ""
    for piece in script:
        if isinstance(piece, Text | Computed):
            # texts that follow each other are tokenized as one, as they would be in a document
            pending += piece.text if isinstance(piece, Text) else piece.write(answer)
        else:
            _append(answer, pending, vocabulary)
            pending = ""
            filling = performer(piece, answer)
            start = len(answer.ids)
            answer.text += filling.text
            answer.ids += filling.ids
            answer.texts[piece.name] = filling.text
            answer.odds[piece.name] = filling.odds
            answer.places[piece.name] = range(start, len(answer.ids))
    _append(answer, pending, vocabulary)
    return answer


def script_ids(script: Script, fillings: Mapping[str, str], vocabulary: Vocabulary) -> Answer:
    """Write an answer whose every slot is dictated, for teacher forcing.

    The ids are those that a model meets when it gives the same answer itself.

    Parameters
    ----------
    script
        See `mmrag.vision.phi3.ranking_template.answer_script`.
    fillings
        Text of each slot, by name.
    vocabulary
        Of the model to be trained.
    """

    def dictate(slot: Slot, answer: Answer) -> Filling:
        text = fillings[slot.name]
        return Filling(text, vocabulary.inside(text), {text: 1.0})

    return perform(script, dictate, vocabulary)


def longest(script: Script, vocabulary: Vocabulary) -> int:
    """Count the most tokens that a model reads and writes for ``script``."""

    def tokens(piece: Piece) -> int:
        match piece:
            case Text():
                return len(vocabulary.inside(piece.text)) + 1  # a quote may close before it
            case Free() | Computed():
                return piece.tokens
            case _:
                return 2  # "10", or a letter

    return sum(map(tokens, script))


def _append(answer: Answer, text: str, vocabulary: Vocabulary) -> None:
    if text:
        answer.ids += vocabulary.inside(text) if answer.ids else vocabulary.opening(text)
        answer.text += text
