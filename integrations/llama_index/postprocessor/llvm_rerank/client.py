"""Chat client in OpenAI's form over a LlamaIndex LLM."""

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

__all__ = ["LlamaIndexChatClient", "caller_loop"]

caller_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("caller_loop", default=None)
"""Event loop of the async caller, if any: `achat` is awaited there while the reranker's thread waits."""


@dataclass(frozen=True)
class LlamaIndexChatClient:
    """``create`` function for `mmrag.InstructorVision`, answered by ``llm``."""

    llm: LLM

    def __call__(
        self, *, messages: Sequence[Mapping[str, Any]], model: str | None = None, **settings: Any
    ) -> ChatCompletion:
        """Chat once; settings such as ``max_tokens`` are dropped, as each LLM names them differently."""
        from openai.types.chat import ChatCompletion, ChatCompletionMessage
        from openai.types.chat.chat_completion import Choice

        chat = [_chat_message(message) for message in messages]
        loop = caller_loop.get()
        if loop is None:
            response = self.llm.chat(chat)
        else:
            response = asyncio.run_coroutine_threadsafe(self.llm.achat(chat), loop).result()
        message = ChatCompletionMessage(role="assistant", content=response.message.content or "")
        return ChatCompletion(
            id="llama-index",
            object="chat.completion",
            created=0,
            model=self.llm.metadata.model_name,
            choices=[Choice(index=0, finish_reason="stop", message=message)],
        )


def _chat_message(message: Mapping[str, Any]) -> ChatMessage:
    content = message["content"]
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks: list[ContentBlock] = []
    for part in parts:
        if part["type"] == "text":
            blocks.append(TextBlock(text=part["text"]))
        else:
            header, _, data = part["image_url"]["url"].partition(",")
            mimetype = header.removeprefix("data:").removesuffix(";base64")
            blocks.append(ImageBlock(image=base64.b64decode(data), image_mimetype=mimetype))
    return ChatMessage(role=message["role"], blocks=blocks)
