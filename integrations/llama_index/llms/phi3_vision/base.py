"""Phi-3 Vision as a LlamaIndex LLM. In: messages of text and images. Out: text, also streamed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.llms import LLM
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.schema import BaseComponent
from llama_index.llms.phi3_vision.messages import turns_of

from mmrag.images import ImagePolicy
from mmrag.vision import Phi3Vision

__all__ = ["Phi3VisionLLM"]

DEFAULT_MODEL = "microsoft/Phi-3.5-vision-instruct"
_PUBLISHED_CONTEXT = 131_072
_END = object()


class Phi3VisionLLM(LLM):
    """Chat about images with Phi-3 Vision, on this machine.

    Parameters
    ----------
    model_name
        What `mmrag.Phi3Vision.from_pretrained` takes; loaded on first use.
    vision
        A ready model instead, for instance one that several components share. It does not travel
        to another process: there ``model_name`` is loaded again.
    max_new_tokens
        Most tokens of an answer.
    image_policy
        Which images of messages may be opened: by default any local file, and no URL.
    """

    model_name: str = Field(default=DEFAULT_MODEL, description="Name on the hub, or folder.")
    revision: str | None = Field(default=None, description="Branch, tag or commit on the hub.")
    device: str | None = Field(default=None, description="Where the model computes.")
    max_new_tokens: int = Field(default=256, gt=0, description="Most tokens of an answer.")
    image_policy: ImagePolicy = Field(
        default_factory=ImagePolicy, exclude=True, description="What may be opened as an image."
    )
    _vision: Phi3Vision | None = PrivateAttr(default=None)
    _loading: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, model_name: str = DEFAULT_MODEL, *, vision: Phi3Vision | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self.model_name = vision.name if vision else model_name
        self._vision = vision

    @classmethod
    def class_name(cls) -> str:
        """Name the class in serialized form."""
        return "Phi3VisionLLM"

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Phi3VisionLLM:
        return self.model_copy()  # of its settings: the weights are shared

    def __getstate__(self) -> dict[str, Any]:
        # The base class would try to pickle the model itself; it is loaded again instead.
        state = super(BaseComponent, self).__getstate__()
        return {**state, "__pydantic_private__": None}

    @property
    def vision(self) -> Phi3Vision:
        """The model itself, loaded on first use."""
        with self._loading:
            if self._vision is None:
                self._vision = Phi3Vision.from_pretrained(self.model_name, device=self.device, revision=self.revision)
            return self._vision

    @property
    def metadata(self) -> LLMMetadata:
        """Facts, without loading: the context is the published models' until another is loaded."""
        vision = self._vision
        return LLMMetadata(
            context_window=vision.network.config.context_length if vision else _PUBLISHED_CONTEXT,
            num_output=self.max_new_tokens,
            is_chat_model=True,
            model_name=self.model_name,
        )

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages of `TextBlock` and `ImageBlock`."""
        return _chat_response("".join(self._pieces(messages, kwargs)))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer piece by piece."""
        pieces = self._pieces(messages, kwargs)

        def gen() -> Generator[ChatResponse, None, None]:
            told = ""
            for piece in pieces:
                told += piece
                yield _chat_response(told, piece)

        return gen()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer in a thread: the event loop goes on."""
        told = await asyncio.to_thread(lambda: "".join(self._pieces(messages, kwargs)))
        return _chat_response(told)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer piece by piece, each computed in a thread."""

        async def gen() -> AsyncGenerator[ChatResponse, None]:
            told = ""
            async for piece in _in_threads(self._pieces(messages, kwargs)):
                told += piece
                yield _chat_response(told, piece)

        return gen()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt as a user's message."""
        return CompletionResponse(text="".join(self._pieces(_asked(prompt), kwargs)))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Answer a prompt piece by piece."""
        pieces = self._pieces(_asked(prompt), kwargs)

        def gen() -> Generator[CompletionResponse, None, None]:
            told = ""
            for piece in pieces:
                told += piece
                yield CompletionResponse(text=told, delta=piece)

        return gen()

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt in a thread."""
        told = await asyncio.to_thread(lambda: "".join(self._pieces(_asked(prompt), kwargs)))
        return CompletionResponse(text=told)

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Answer a prompt piece by piece, each computed in a thread."""

        async def gen() -> AsyncGenerator[CompletionResponse, None]:
            told = ""
            async for piece in _in_threads(self._pieces(_asked(prompt), kwargs)):
                told += piece
                yield CompletionResponse(text=told, delta=piece)

        return gen()

    def _pieces(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Iterator[str]:
        turns, images = turns_of(messages, self.image_policy)
        most = kwargs.get("max_new_tokens", self.max_new_tokens)
        yield from self.vision.stream(turns, images, max_new_tokens=most)


def _asked(prompt: str) -> list[ChatMessage]:
    return [ChatMessage(prompt, role=MessageRole.USER)]


def _chat_response(text: str, delta: str | None = None) -> ChatResponse:
    return ChatResponse(message=ChatMessage(text, role=MessageRole.ASSISTANT), delta=delta)


async def _in_threads(pieces: Iterator[str]) -> AsyncGenerator[str, None]:
    while (piece := await asyncio.to_thread(next, pieces, _END)) is not _END:
        yield str(piece)
