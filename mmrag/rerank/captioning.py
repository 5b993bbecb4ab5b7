"""Captions of query images, cached by image content."""

from __future__ import annotations

from threading import Lock
from typing import Any

import PIL.Image
from cachetools import LRUCache

from mmrag.images import content_hash
from mmrag.rerank.prompts import Prompt
from mmrag.vision.base import Message, VisionLLM

__all__ = ["CaptionCache"]

MAX_CHARACTERS = 400
MAX_TOKENS = 80


class CaptionCache:
    """Least-recently-used cache of up to ``size`` captions that one vision LLM gives with one prompt."""

    def __init__(self, vlm: VisionLLM, prompt: Prompt, size: int = 256) -> None:
        self._vlm, self._prompt = vlm, prompt
        self._captions: LRUCache[str, str] = LRUCache(size)
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:  # a lock cannot be pickled; another process starts empty
        return CaptionCache, (self._vlm, self._prompt, int(self._captions.maxsize))

    def caption(self, image: PIL.Image.Image, composite: PIL.Image.Image) -> str:
        """Caption ``image``, which is drawn in the query cell of ``composite``.

        The model gets the composite: a local model encodes it for the ranking anyway, and keeps its prefix cache.
        """
        key = content_hash(image)
        with self._lock:
            if key in self._captions:
                return self._captions[key]
        messages: list[Message] = [{"role": "user", "content": self._prompt.format()}]
        answer = self._vlm.chat(messages, [composite], max_new_tokens=MAX_TOKENS)
        caption = " ".join(answer.split())[:MAX_CHARACTERS]
        with self._lock:
            self._captions[key] = caption
        return caption
