"""A mock vision LLM, and answers for it that can be nested: ``MockVision(slow(0.2, reversing()))``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest.mock import Mock

import PIL.Image

from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels
from mmrag.rerank.composite import layout_grid
from mmrag.vision.base import Message, Method, RankingConfig
from mmrag.vision.parsing import ranking_from_answer

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = [
    "MALFORMED", "MockAnswer", "MockVision", "RankRequest", "completion", "failing", "looking", "malformed", "oracle",
    "reversing", "scripted", "slow",
]  # fmt: skip

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
"""Answers of vision LLMs about nine candidates that are no complete ranking, by name; see `malformed`."""


@dataclass(frozen=True)
class RankRequest:
    """Arguments of a call of `MockVision.rank`: prompt, composite image, number of candidates."""

    prompt: str
    image: PIL.Image.Image = field(repr=False)
    n: int


MockAnswer = Callable[[RankRequest], "Ranking | str"]
"""Answer of a mock to a request; a string is parsed and repaired like the answer of a real model."""


class MockVision:
    """A vision LLM with a given answer, which records its calls.

    Parameters
    ----------
    answer : callable
        `scripted`, `reversing`, `oracle`, `looking`, `malformed`, `slow`, `failing`, or a function of `RankRequest`.
    caption : str, optional
        Answer of `chat`.
    ranking_config : RankingConfig, optional
        Default: cells of 96 pixels in 5 columns.

    Attributes
    ----------
    requests : list of RankRequest
        The calls of `rank`.
    chats : list of str
        The last message of each call of `chat`.

    Examples
    --------
    >>> vision = MockVision(scripted("[2] > [1]"))
    >>> vision.rank("Rank them.", PIL.Image.new("RGB", (9, 9)), 3).order
    [2, 1, 3]
    """

    def __init__(
        self,
        answer: MockAnswer,
        *,
        caption: str = "a thing with a pattern",
        ranking_config: RankingConfig | None = None,
    ) -> None:
        self.answer, self.caption = answer, caption
        self.ranking_config = ranking_config or RankingConfig(cell=96, columns=5)
        self.requests: list[RankRequest] = []
        self.chats: list[str] = []

    def rank(
        self, prompt: str, image: PIL.Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Record the request and return the answer, strings parsed and repaired."""
        request = RankRequest(prompt, image, n)
        self.requests.append(request)
        answer = self.answer(request)
        return ranking_from_answer(answer, n) if isinstance(answer, str) else answer

    def chat(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Record the last message and return the caption."""
        self.chats.append(str(messages[-1]["content"]))
        return self.caption


def scripted(*answers: str | Ranking) -> MockAnswer:
    """Return the answers in turn, repeating the last."""
    remaining = list(answers)
    return lambda request: remaining.pop(0) if len(remaining) > 1 else remaining[0]


def reversing() -> MockAnswer:
    """Reverse the retrieval order, so that a reranker without effect shows."""
    return _reverse  # no lambda: it can be pickled


def malformed(name: str) -> MockAnswer:
    """Return an answer of `MALFORMED`."""
    return scripted(MALFORMED[name])


def oracle(grade: Callable[[int], float]) -> MockAnswer:
    """Rank by ``grade(label)``, highest first; for lists that fit in one window."""
    return lambda request: ranking_from_grades(
        {label: grade(label) for label in range(1, request.n + 1)}, request.n, reason="I know."
    )


def looking(grade: Callable[[PIL.Image.Image], float], *, cell: int = 96, columns: int = 5) -> MockAnswer:
    """Rank by ``grade(image)`` of the candidates' images in the composite; for lists of any length."""

    def rank_by_image(request: RankRequest) -> Ranking:
        cells = layout_grid(request.n, cell=cell, columns=columns).cells[1:]
        grades = {int(c.text): grade(request.image.crop(c.frame)) for c in cells}
        return ranking_from_grades(grades, request.n, reason="I see.")

    return rank_by_image


def slow(seconds: float, answer: MockAnswer) -> MockAnswer:
    """Sleep before answering."""

    def answer_late(request: RankRequest) -> Ranking | str:
        time.sleep(seconds)
        return answer(request)

    return answer_late


def failing(error: Exception) -> MockAnswer:
    """Raise an exception instead of answering."""
    return Mock(side_effect=error)


def completion(answer: str) -> ChatCompletion:
    """Wrap an answer in the response of an OpenAI-compatible server, as ``choices[0].message.content``."""
    from openai.types.chat import ChatCompletion

    message = {"role": "assistant", "content": answer}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return ChatCompletion.model_validate(
        {"id": "mock", "object": "chat.completion", "created": 0, "model": "mock", "choices": [choice]}
    )


def _reverse(request: RankRequest) -> Ranking:
    return ranking_from_labels(range(request.n, 0, -1), request.n, reason="The last shall be first.")
