"""LlamaIndex's messages in OpenAI's form. In: blocks. Out: turns, and the pictures they place."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import PIL.Image
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock

from mmrag.errors import QueryError
from mmrag.images import ImagePolicy, ImageSource, load_image
from mmrag.vision.protocol import Message

__all__ = ["source_of", "turns_of"]

_ROLES = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}


def turns_of(
    messages: Sequence[ChatMessage], policy: ImagePolicy
) -> tuple[list[Message], list[PIL.Image.Image]]:
    """Write the messages as `mmrag.Phi3Vision.chat` takes them; pictures stand where they stood.

    Raises
    ------
    QueryError
        When a message holds neither text nor pictures, but sound or documents.
    ImageError
        When a picture is refused by the policy, or damaged.
    """
    turns: list[Message] = []
    pictures: list[PIL.Image.Image] = []
    for message in messages:
        parts: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, TextBlock):
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, ImageBlock):
                parts.append({"type": "image"})
                pictures.append(load_image(source_of(block), policy))
            else:
                raise QueryError(
                    f"Phi-3 Vision reads text and pictures, not {type(block).__name__}: "
                    "leave it out of the message"
                )
        turns.append({"role": _ROLES.get(message.role, "user"), "content": parts})
    return turns, pictures


def source_of(block: ImageBlock) -> ImageSource:
    """Tell where a block's picture is; an `ImageBlock` keeps its bytes as base64."""
    if isinstance(block.image, bytes):
        return base64.b64decode(block.image)
    source = block.image or block.path or (str(block.url) if block.url else None)
    if source is None:
        raise QueryError("an ImageBlock holds no picture: give it image, path or url")
    return source  # pyright: ignore[reportReturnType]  # its IOBase is a binary file
