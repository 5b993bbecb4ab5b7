"""The query's image in words. In: a composite. Out: a sentence, asked for once per image."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

import PIL.Image

from mmrag.images import content_hash
from mmrag.rerank.prompts import Prompt
from mmrag.vision.base import VisionLLM

__all__ = ["Captions"]

_LONGEST_CAPTION = 400
_TOKENS = 80


class Captions:
    """Captions of query images, the latest ``size`` of them remembered.

    The key is the image's content and the prompt's wording: another user's image, or a better
    prompt, never gets an old caption.
    """

    def __init__(self, llvm: VisionLLM, prompt: Prompt, size: int = 256) -> None:
        self._llvm, self._prompt, self._size = llvm, prompt, size
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:  # a lock cannot travel, and the memory need not
        return Captions, (self._llvm, self._prompt, self._size)

    def of(self, image: PIL.Image.Image, composite: PIL.Image.Image) -> str:
        """Caption ``image`` as it stands in the query cell of ``composite``.

        The composite is asked, not the image: a local model has to read it anyway, and keeps what
        it read for the ranking.
        """
        key = (content_hash(image), self._prompt.digest)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        asked = self._prompt.fill()
        said = self._llvm.chat([{"role": "user", "content": asked}], [composite], max_new_tokens=_TOKENS)
        caption = " ".join(said.split())[:_LONGEST_CAPTION]
        with self._lock:
            self._known[key] = caption
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return caption
