"""Preprocessing of Visualized BGE: texts to token ids, images to normalized pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmrag.embedding.base import EncoderItem
from mmrag.embedding.batching import EncodeRequest
from mmrag.errors import EncodeError, ImageError
from mmrag.images import ImageSource
from mmrag.query import Query

__all__ = ["ItemTokenizer", "image_pixels"]

# OpenAI CLIP's statistics, which EVA02-CLIP kept.
_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
_STD = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)

_MAX_ASPECT_RATIO = 100  # a thinner strip would be resized to gigabytes before its center is cropped
_MAX_LISTED = 10  # indices or words in a warning

_log = logging.getLogger(__name__)


class ItemTokenizer:
    """Tokenizer of texts and composed queries, truncated to the model's limits; thread-safe.

    ``text_limit`` counts the tokens of a text alone, ``composed_limit`` those beside an image, special ones included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, text_limit: int, composed_limit: int) -> None:
        self._tokenizer = tokenizer
        self._text_limit = text_limit
        self._composed_limit = composed_limit
        # A call resets the tokenizer's truncation settings, and concurrent calls panic.
        self._lock = Lock()

    def tokenize(self, items: Sequence[EncoderItem]) -> list[EncodeRequest]:
        """Tokenize items; log one warning for all truncated texts and one for all unknown words.

        Raises `EncodeError` if an item is an empty text.
        """
        parts = [_text_and_image(index, item) for index, item in enumerate(items)]
        texts = [text for text, _ in parts]
        with self._lock:
            tokenized: list[list[int]] = self._tokenizer(texts, verbose=False)["input_ids"] if texts else []
        requests: list[EncodeRequest] = []
        truncated: list[str] = []
        unknown: dict[str, None] = {}
        for index, (ids, (text, image)) in enumerate(zip(tokenized, parts, strict=True)):
            if self._tokenizer.unk_token_id in ids:
                unknown |= dict.fromkeys(map(repr, self.unknown_words(text)))
            limit = self._text_limit if image is None else self._composed_limit
            if len(ids) > limit:
                truncated.append(str(index))
                ids = [*ids[: limit - 1], ids[-1]]  # [SEP] stays
            requests.append(EncodeRequest(tuple(ids), image, (index,)))
        if truncated:
            texts_were = f"{len(truncated)} texts were" if len(truncated) > 1 else "a text was"
            limits = f"{self._text_limit} tokens, {self._composed_limit} beside an image"
            _log.warning(
                "%s longer than this encoder reads (%s) and cut there: item %s", texts_were, limits, _join(truncated)
            )
        if unknown:
            lacking = "this encoder's vocabulary lacks %s: say it in other words, or the search goes without"
            _log.warning(lacking, _join(list(unknown)))
        return requests

    def unknown_words(self, text: str) -> list[str]:
        """List the words that the vocabulary lacks, each once, as written in the text."""
        with self._lock:
            encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        words = [
            text[start:end].strip()
            for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            if token == self._tokenizer.unk_token_id
        ]
        return list(dict.fromkeys(words))


def image_pixels(image: Image.Image, side: int) -> Tensor:
    """Resize, center-crop, convert to RGB and normalize, in the order of the original: float32, ``(3, side, side)``.

    The image is resized in its own mode: palettes by nearest neighbor, alpha premultiplied and then dropped.
    Raises `ImageError` for a strip, the longer side of which is more than 100 times the shorter one.
    """
    square = _center_crop(_resize(image, side), side).convert("RGB")
    # NumPy, not torch, whose thread pool would compete with the network's.
    scaled = np.asarray(square, np.float32) / np.float32(255)  # (side, side, 3)
    normalized = (scaled - _MEAN) / _STD
    return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)))


def _text_and_image(index: int, item: EncoderItem | None) -> tuple[str, ImageSource | None]:
    if isinstance(item, Query):
        return item.text, item.image
    if item is None or (isinstance(item, str) and not item.strip()):
        raise EncodeError(f"item {index} is empty ({item!r}): leave it out", index)
    return (item, None) if isinstance(item, str) else ("", item)


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


def _resize(image: Image.Image, side: int) -> Image.Image:
    short, long = sorted(image.size)
    if long > _MAX_ASPECT_RATIO * short:
        raise ImageError(
            f"an image of {image.width} x {image.height} is a strip of more than "
            f"{_MAX_ASPECT_RATIO} : 1, and only its center square would be seen: crop it first"
        )
    longer = int(side * long / short)  # truncated, not rounded
    size = (side, longer) if image.width <= image.height else (longer, side)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _center_crop(image: Image.Image, side: int) -> Image.Image:
    # Python rounds halves to the even neighbor here, and so did the original.
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
