"""A stranger's messages in the published form. In: OpenAI-style turns. Out: harmless turns.

Nothing a caller writes is live: special tokens are broken up, image tags are placed by us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from mmrag.errors import QueryError
from mmrag.vision.phi3.tokenizer import Vocabulary

__all__ = ["published_turns"]


def published_turns(messages: Sequence[Mapping[str, Any]], images: int, vocabulary: Vocabulary) -> list[dict[str, str]]:
    """Write the turns as `Phi3VisionProcessor.prompt` takes them.

    Parameters
    ----------
    messages
        ``role`` and ``content``: a text, or a list of ``{"type": "text", "text": …}`` and
        ``{"type": "image"}``, which stands where the next image goes.
    images
        How many images there are. Where no message places any, all of them open the first
        user turn.
    vocabulary
        Of the model.
    """
    numbers = count(1)
    placed = any(_is_image(part) for turn in messages for part in _parts(turn))
    turns: list[dict[str, str]] = []
    for turn in messages:
        parts = _parts(turn)
        if not placed and turn["role"] == "user":
            parts, placed = [{"type": "image"}] * images + parts, True
        lines = [f"<|image_{next(numbers)}|>" if _is_image(part) else vocabulary.defuse(part["text"]) for part in parts]
        turns.append({"role": turn["role"], "content": "\n".join(lines)})
    found = next(numbers) - 1
    if found != images:
        raise QueryError(
            f"{images} images are given and the messages place {found}: give one image for "
            'each {"type": "image"}, or place none and have a user turn'
        )
    return turns


def _parts(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = turn["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    for part in parts:
        if not (_is_image(part) or isinstance(part.get("text"), str)):
            raise QueryError(
                f"a message holds a part of type {part.get('type')!r}: "
                'give {"type": "text", "text": …} or {"type": "image"}, and images as `images`'
            )
    return parts


def _is_image(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "image"
