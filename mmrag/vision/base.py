"""Protocol of a vision LLM, and the chat messages it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypedDict, runtime_checkable

from PIL import Image

from mmrag.errors import QueryError
from mmrag.ranking import Ranking
from mmrag.vision.config import Method, RankingConfig

__all__ = ["Message", "VisionLLM", "place_images"]


class Message(TypedDict):
    """One chat turn in OpenAI's form; content is text, or a list of content parts."""

    role: str
    content: str | list[dict[str, Any]]


@runtime_checkable
class VisionLLM(Protocol):
    """A vision LLM, local or remote, that ranks the numbered cells of a composite image and chats."""

    @property
    def ranking_config(self) -> RankingConfig:
        """Prompt, composite size and method with which this model ranks."""
        ...

    def rank(
        self, prompt: str, image: Image.Image, n: int, *, method: Method = "permutation", describe: bool = False
    ) -> Ranking:
        """Rank candidates 1..n of the composite ``image``."""
        ...

    def chat(
        self, messages: Sequence[Message], images: Sequence[Image.Image] = (), *, max_new_tokens: int = 256
    ) -> str:
        """Answer a conversation about ``images``."""
        ...


def place_images(messages: Sequence[Message], num_images: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """Split messages into content parts, with one ``{"type": "image"}`` part per image.

    Where the messages hold no image part, the images open the first user turn.
    """
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for turn in messages:
        content = turn["content"]
        turns.append((turn["role"], [{"type": "text", "text": content}] if isinstance(content, str) else [*content]))
    if not any(part.get("type") == "image" for _, parts in turns for part in parts):
        first_user_parts = next((parts for role, parts in turns if role == "user"), [])
        first_user_parts[:0] = [{"type": "image"}] * num_images
    placed = sum(part.get("type") == "image" for _, parts in turns for part in parts)
    if placed != num_images:
        raise QueryError(
            f"{num_images} images are given and the messages place {placed}: give one image for each "
            '{"type": "image"}, or place none and have a user turn'
        )
    return turns
