"""What a reranker needs of a vision LLM: rank a composite, chat, and say how it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypedDict, runtime_checkable

import PIL.Image

from mmrag.ranking import Ranking
from mmrag.vision.config import Method, RankingRecipe

__all__ = ["Message", "VisionLLM"]


class Message(TypedDict):
    """One turn, as OpenAI-compatible servers name it; content is text, or a list of parts."""

    role: str
    content: str | list[dict[str, Any]]


@runtime_checkable
class VisionLLM(Protocol):
    """A vision LLM, local or remote, that can rank the numbered cells of one composite image."""

    @property
    def recipe(self) -> RankingRecipe:
        """How this model wants to be asked."""
        ...

    def rank(
        self, prompt: str, image: PIL.Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Rank candidates 1..n of the composite ``image``: each exactly once, best first."""
        ...

    def chat(
        self, messages: Sequence[Message], images: Sequence[PIL.Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation about ``images``."""
        ...
