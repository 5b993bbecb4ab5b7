"""Images inside of messages, as OpenAI-compatible servers take them. In: images. Out: parts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmrag.errors import QueryError

if TYPE_CHECKING:
    import PIL.Image

    from mmrag.vision.base import Message

__all__ = ["image_part", "placed"]


def image_part(image: PIL.Image.Image) -> dict[str, Any]:
    """Write an image as a part of a message's content."""
    buffer = io.BytesIO()
    # Full chroma keeps the figures on a composite's plates sharp.
    image.convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def placed(messages: Sequence[Message], images: Sequence[PIL.Image.Image]) -> list[dict[str, Any]]:
    """Put the images where ``{"type": "image"}`` parts stand, else before the first user's words.

    Raises
    ------
    QueryError
        When there is not one image for each place.
    """
    contents = [_parts(turn) for turn in messages]
    if not any(part["type"] == "image" for parts in contents for part in parts):
        users = (p for turn, p in zip(messages, contents, strict=True) if turn["role"] == "user")
        next(users, list[dict[str, Any]]())[:0] = [{"type": "image"} for _ in images]
    places = sum(part["type"] == "image" for parts in contents for part in parts)
    if places != len(images):
        raise QueryError(
            f"{len(images)} images for {places} places in the messages: give one for each "
            '{"type": "image"}, or place none and have a user turn'
        )
    image_parts = map(image_part, images)
    return [
        {"role": turn["role"], "content": [next(image_parts) if p["type"] == "image" else p for p in parts]}
        for turn, parts in zip(messages, contents, strict=True)
    ]


def _parts(turn: Message) -> list[dict[str, Any]]:
    content = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
