"""Phi-3 Vision as a LlamaIndex LLM."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any, TypeVar

from llama_index.core.base.llms.generic_utils import chat_to_completion_decorator, stream_chat_to_completion_decorator
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    ImageBlock,
    LLMMetadata,
    MessageRole,
    TextBlock,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.schema import BaseComponent
from llama_index.embeddings.composed_image.image_sources import block_image
from PIL import Image

from mmrag.errors import QueryError
from mmrag.images import ImagePolicy, load_image
from mmrag.vision import Message, Phi3Vision

__all__ = ["Phi3VisionLLM"]

DEFAULT_MODEL = "microsoft/Phi-3.5-vision-instruct"
_PUBLISHED_CONTEXT = 131_072
_ROLES: dict[MessageRole, str] = {
    **dict.fromkeys((MessageRole.SYSTEM, MessageRole.DEVELOPER), "system"),
    **dict.fromkeys((MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL), "assistant"),
}
_Response = TypeVar("_Response", ChatResponse, CompletionResponse)


class Phi3VisionLLM(LLM):
    """Chat about images with Phi-3 Vision on this machine.

    Parameters
    ----------
    model_name : str
        A name or folder for `mmrag.Phi3Vision.from_pretrained`; loaded on first use.
    vision : Phi3Vision, optional
        A loaded model instead, for example a shared one. An unpickled copy loads ``model_name`` again.
    max_new_tokens : int, default 256
        Limit of an answer.
    image_policy : ImagePolicy, optional
        Which images of messages may be opened. Default: any local file, no URL.
    """

    model_name: str = Field(default=DEFAULT_MODEL, description="Name on the hub, or folder.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    device: str | None = Field(default=None, description="Device of the model.")
    max_new_tokens: int = Field(default=256, gt=0, description="Maximum number of tokens of an answer.")
    image_policy: ImagePolicy = Field(default_factory=ImagePolicy, exclude=True, description="Images it may open.")
    _vision: Phi3Vision | None = PrivateAttr(default=None)
    _load_lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, model_name: str = DEFAULT_MODEL, *, vision: Phi3Vision | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self.model_name = vision.name if vision else model_name
        self._vision = vision

    @classmethod
    def class_name(cls) -> str:
        """Return the class name in serialized form."""
        return "Phi3VisionLLM"

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Phi3VisionLLM:
        return self.model_copy()  # the weights are shared

    def __getstate__(self) -> dict[str, Any]:
        # The base class would try to pickle the model itself; it is loaded again instead.
        return {**super(BaseComponent, self).__getstate__(), "__pydantic_private__": None}

    @property
    def vision(self) -> Phi3Vision:
        """The model, loaded on first use."""
        with self._load_lock:
            if self._vision is None:
                self._vision = Phi3Vision.from_pretrained(self.model_name, device=self.device, revision=self.revision)
            return self._vision

    @property
    def metadata(self) -> LLMMetadata:
        """Name, context and answer length; until a model is loaded, the context of the published ones."""
        context = self._vision.network.config.context_length if self._vision else _PUBLISHED_CONTEXT
        return LLMMetadata(
            context_window=context, num_output=self.max_new_tokens, is_chat_model=True, model_name=self.model_name
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages of `TextBlock` and `ImageBlock`."""
        return self._chat(messages, **kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream an answer."""
        return self._stream(messages, **kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer in a worker thread."""
        return await asyncio.to_thread(self._chat, messages, **kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Stream an answer computed in worker threads."""
        return _in_threads(self._stream(messages, **kwargs))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt as one user message."""
        return chat_to_completion_decorator(self._chat)(prompt, **kwargs)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Stream the answer to a prompt."""
        return stream_chat_to_completion_decorator(self._stream)(prompt, **kwargs)

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt in a worker thread."""
        return await asyncio.to_thread(chat_to_completion_decorator(self._chat), prompt, **kwargs)

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Stream the answer to a prompt, computed in worker threads."""
        return _in_threads(stream_chat_to_completion_decorator(self._stream)(prompt, **kwargs))

    def _chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        *_, last = self._stream(messages, **kwargs)
        return ChatResponse(message=last.message)

    def _stream(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        turns, images = _convert_messages(messages, self.image_policy)
        max_new_tokens = kwargs.get("max_new_tokens", self.max_new_tokens)
        text = ""
        for piece in self.vision.stream(turns, images, max_new_tokens=max_new_tokens):
            text += piece
            yield ChatResponse(message=ChatMessage(text, role=MessageRole.ASSISTANT), delta=piece)


def _convert_messages(messages: Sequence[ChatMessage], policy: ImagePolicy) -> tuple[list[Message], list[Image.Image]]:
    turns: list[Message] = []
    images: list[Image.Image] = []
    for message in messages:
        parts: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, TextBlock):
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, ImageBlock):
                if (source := block_image(block)) is None:
                    raise QueryError("an ImageBlock holds no image: give it image, path or url")
                parts.append({"type": "image"})
                images.append(load_image(source, policy))
            else:
                raise QueryError(
                    f"Phi-3 Vision reads text and images, not {type(block).__name__}: leave it out of the message"
                )
        turns.append({"role": _ROLES.get(message.role, "user"), "content": parts})
    return turns, images


async def _in_threads(responses: Generator[_Response, None, None]) -> AsyncGenerator[_Response, None]:
    while (response := await asyncio.to_thread(next, responses, None)) is not None:
        yield response
