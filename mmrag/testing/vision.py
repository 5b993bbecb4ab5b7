"""Vision LLMs for tests: no weights, no network. In: how to answer. Out: a `VisionLLM`.

``MockVision(slow(0.2, reversing()))``: the answers are small functions that go into each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import PIL.Image

from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels
from mmrag.rerank.layout import layout_grid
from mmrag.vision.base import Message
from mmrag.vision.config import Method, RankingRecipe
from mmrag.vision.parsing import ranking_from_answer

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = [
    "MALFORMED",
    "Answer",
    "Asked",
    "MockVision",
    "completion",
    "failing",
    "looking",
    "malformed",
    "oracle",
    "reversing",
    "scripted",
    "slow",
]

MALFORMED: Mapping[str, str] = {
    "one missing": "[7, 8, 5, 3, 2, 4, 1, 6]",
    "duplicate": "[3, 3, 1, 2, 4, 5, 6, 7, 8]",
    "zero": "[0, 4, 2, 1, 3, 5, 6, 7, 8]",
    "negative": "[-1, 4, 2, 1, 3, 5, 6, 7, 8]",
    "beyond n": "[12, 4, 2, 1, 3, 5, 6, 7, 99]",
    "prose": "Candidate 4 shows the same pattern for $9, candidate 2 comes close.",
    "relevance in words": "Doc: 4, Relevance: high\nDoc: 2, Relevance: 7\nDoc: 9, Relevance: low",
    "fenced JSON": 'Here you are:\n```json\n{"ranking": [4, 2, 9], "reason": "spots"}\n```',
    "truncated JSON": '{"4": 9, "2": 7, "9": 5, "reason": "it has the sa',
    "refusal": "I'm sorry, but I can't help with that.",
    "empty": "",
}
"""What vision LLMs answer about nine candidates instead of a ranking; see `malformed`."""


@dataclass(frozen=True)
class Asked:
    """What a mock was asked: the prompt, the composite image, the number of candidates."""

    prompt: str
    image: PIL.Image.Image = field(repr=False)
    n: int


Answer = Callable[[Asked], "Ranking | str"]
"""How a mock answers; a text is read and mended as a real model's is."""


class MockVision:
    """A vision LLM that answers as a test says, and remembers what it was asked.

    Parameters
    ----------
    answer
        One of `scripted`, `reversing`, `oracle`, `looking`, `malformed`, `slow`, `failing`, or any
        function of `Asked`.
    caption
        What it says in a conversation.
    recipe
        How it wants to be asked.

    Attributes
    ----------
    asked
        Each call of `rank`.
    chats
        The last text of each call of `chat`.

    Examples
    --------
    >>> vision = MockVision(scripted("[2] > [1]"))
    >>> vision.rank("Rank them.", PIL.Image.new("RGB", (9, 9)), 3).order
    [2, 1, 3]
    >>> vision.asked[0].prompt
    'Rank them.'
    """

    def __init__(
        self, answer: Answer, *, caption: str = "a thing with a pattern", recipe: RankingRecipe | None = None
    ) -> None:
        self.answer, self.caption = answer, caption
        self.recipe = recipe or RankingRecipe(cell=96, columns=5)
        self.asked: list[Asked] = []
        self.chats: list[str] = []

    def rank(
        self, prompt: str, image: PIL.Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Rank as told; texts are read and mended as a real model's."""
        asked = Asked(prompt, image, n)
        self.asked.append(asked)
        answer = self.answer(asked)
        return ranking_from_answer(answer, n) if isinstance(answer, str) else answer

    def chat(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Say the caption."""
        self.chats.append(str(messages[-1]["content"]))
        return self.caption


def scripted(*answers: str | Ranking) -> Answer:
    """Answer these one after the other, the last one for ever."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def reversing() -> Answer:
    """Answer the reverse of retrieval order: a reranker that does nothing shows."""
    return _reverse


def malformed(row: str) -> Answer:
    """Answer as in a row of `MALFORMED`."""
    return scripted(MALFORMED[row])


def oracle(grade: Callable[[int], float]) -> Answer:
    """Answer the order of ``grade(label)``, highest first; for lists of one window."""
    return lambda asked: ranking_from_grades(
        {label: grade(label) for label in range(1, asked.n + 1)}, asked.n, reason="I know."
    )


def looking(grade: Callable[[PIL.Image.Image], float], *, cell: int = 96, columns: int = 5) -> Answer:
    """Answer the order of ``grade(image)`` of each cell's image; for lists of any length."""

    def look(asked: Asked) -> Ranking:
        cells = layout_grid(asked.n, cell=cell, columns=columns).cells[1:]
        grades = {int(c.text): grade(asked.image.crop(c.frame)) for c in cells}
        return ranking_from_grades(grades, asked.n, reason="I see.")

    return look


def slow(seconds: float, answer: Answer) -> Answer:
    """Answer late."""

    def wait(asked: Asked) -> Ranking | str:
        time.sleep(seconds)
        return answer(asked)

    return wait


def failing(error: Exception) -> Answer:
    """Raise instead of answering."""

    def fail(asked: Asked) -> Ranking:
        raise error

    return fail


def completion(answer: str) -> ChatCompletion:
    """Wrap an answer as an OpenAI-compatible server does: ``InstructorVision(create=…)`` reads it.

    Examples
    --------
    >>> completion("hello").choices[0].message.content
    'hello'
    """
    from openai.types.chat import ChatCompletion

    message = {"role": "assistant", "content": answer}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message}
    outer = {"id": "mock", "object": "chat.completion", "created": 0, "model": "mock"}
    return ChatCompletion.model_validate_json(json.dumps({**outer, "choices": [choice]}))


def _reverse(asked: Asked) -> Ranking:
    return ranking_from_labels(range(asked.n, 0, -1), asked.n, reason="The last shall be first.")
