"""Any LlamaIndex LLM behind OpenAI's `create`. In: OpenAI messages. Out: a `ChatCompletion`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, TextBlock
from llama_index.core.llms import LLM

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["LlamaIndexCreate", "event_loop"]

event_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("event_loop", default=None)
"""The caller's loop, where there is one: `achat` is awaited there while the algorithm waits."""


@dataclass(frozen=True)
class LlamaIndexCreate:
    """What `mmrag.InstructorVision` asks, answered by ``llm``."""

    llm: LLM

    def __call__(
        self, *, messages: Sequence[Mapping[str, Any]], model: str | None = None, **settings: Any
    ) -> ChatCompletion:
        """Chat once; settings such as ``max_tokens``, named differently by each LLM, stay here."""
        asked = [_chat_message(message) for message in messages]
        loop = event_loop.get()
        if loop is None:
            response = self.llm.chat(asked)
        else:
            response = asyncio.run_coroutine_threadsafe(self.llm.achat(asked), loop).result()
        return _completion(response.message.content or "", self.llm.metadata.model_name)


def _chat_message(message: Mapping[str, Any]) -> ChatMessage:
    content = message["content"]
    blocks = [TextBlock(text=content)] if isinstance(content, str) else [*map(_block, content)]
    return ChatMessage(role=message["role"], blocks=blocks)


def _block(part: Mapping[str, Any]) -> ContentBlock:
    if part["type"] == "text":
        return TextBlock(text=part["text"])
    header, _, data = part["image_url"]["url"].partition(",")
    mimetype = header.removeprefix("data:").removesuffix(";base64")
    return ImageBlock(image=base64.b64decode(data), image_mimetype=mimetype)


def _completion(text: str, model: str) -> ChatCompletion:
    from openai.types.chat import ChatCompletion, ChatCompletionMessage
    from openai.types.chat.chat_completion import Choice

    message = ChatCompletionMessage(role="assistant", content=text)
    choice = Choice(index=0, finish_reason="stop", message=message)
    return ChatCompletion(id="llama-index", object="chat.completion", created=0, model=model, choices=[choice])
