"""LlamaIndex's messages in OpenAI's form. In: blocks. Out: turns, and the images they place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import PIL.Image
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.embeddings.composed_image.image_sources import block_image

from mmrag.errors import QueryError
from mmrag.images import ImagePolicy, load_image
from mmrag.vision.base import Message

__all__ = ["turns_of"]

_ROLES = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
}


def turns_of(messages: Sequence[ChatMessage], policy: ImagePolicy) -> tuple[list[Message], list[PIL.Image.Image]]:
    """Write the messages as `mmrag.Phi3Vision.chat` takes them; images stand where they stood.

    Raises
    ------
    QueryError
        When a message holds neither text nor images, but sound, documents or an empty block.
    ImageError
        When an image is refused by the policy, or damaged.
    """
    turns: list[Message] = []
    images: list[PIL.Image.Image] = []
    for message in messages:
        parts: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, TextBlock):
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, ImageBlock):
                source = block_image(block)
                if source is None:
                    raise QueryError("an ImageBlock holds no image: give it image, path or url")
                parts.append({"type": "image"})
                images.append(load_image(source, policy))
            else:
                raise QueryError(
                    f"Phi-3 Vision reads text and images, not {type(block).__name__}: leave it out of the message"
                )
        turns.append({"role": _ROLES.get(message.role, "user"), "content": parts})
    return turns, images
