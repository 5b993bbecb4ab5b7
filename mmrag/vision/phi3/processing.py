"""Processor of Phi-3 Vision: chat template, image placeholders, and the network's input tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Required, TypedDict

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from mmrag.errors import QueryError
from mmrag.vision.base import Message, place_images
from mmrag.vision.phi3.image_processing import Phi3ImageProcessor
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

__all__ = ["Phi3VisionInputs", "Phi3VisionProcessor", "PixelInputs", "render_messages"]

_ROLES = ("system", "user", "assistant")
_IMAGE_TAG = re.compile(r"<\|image_(\d+)\|>")


class PixelInputs(TypedDict, total=False):
    """Images as the network takes them; empty if there are none."""

    pixel_values: Tensor  # (images, num_crops + 1, 3, crop_size, crop_size), zero-padded
    image_sizes: Tensor  # (images, 2): height, width after padding


class Phi3VisionInputs(PixelInputs):
    """A prompt with its images, as the network takes them."""

    input_ids: Required[Tensor]  # (1, tokens), `<|image|>` once for each image token
    attention_mask: Required[Tensor]  # (1, tokens)


class Phi3VisionProcessor:
    """Chat template, tokenizer and image processor of one checkpoint."""

    def __init__(self, tokenizer: Phi3Tokenizer, image_processor: Phi3ImageProcessor) -> None:
        self.tokenizer, self.image_processor = tokenizer, image_processor

    @classmethod
    def from_folder(cls, folder: Path) -> Phi3VisionProcessor:
        """Read tokenizer and image processor of a checkpoint."""
        return cls(Phi3Tokenizer.from_folder(folder), Phi3ImageProcessor.from_folder(folder))

    def __call__(
        self, prompt: str, images: Sequence[Image.Image] = (), num_crops: int | None = None
    ) -> Phi3VisionInputs:
        """Tokenize a prompt and preprocess its images, tagged ``<|image_1|>``, ``<|image_2|>``, … in order."""
        ids = torch.tensor([self.encode(prompt, images, num_crops)])
        pixel_inputs = self.preprocess_images(images, num_crops)
        return Phi3VisionInputs(input_ids=ids, attention_mask=torch.ones_like(ids), **pixel_inputs)

    def apply_chat_template(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write messages in the published chat template; special tokens are active, see `render_messages`."""
        if not messages:
            raise QueryError("there is no message to answer: give at least one user turn")
        if unknown := {turn["role"] for turn in messages} - set(_ROLES):
            raise QueryError(f"no role is named {unknown.pop()!r}: use one of {', '.join(_ROLES)}")
        turns = [f"<|{turn['role']}|>\n{turn['content']}<|end|>\n" for turn in messages]
        return "".join(turns) + ("" if messages[-1]["role"] == "assistant" else "<|assistant|>\n")

    def encode(self, prompt: str, images: Sequence[Image.Image] = (), num_crops: int | None = None) -> list[int]:
        """Tokenize a prompt, with the image token id once for each token of its images.

        As published, each part between images is tokenized alone and begins with its own `<s>`.
        """
        tags = [int(tag) for tag in _IMAGE_TAG.findall(prompt)]
        if tags != list(range(1, len(images) + 1)):
            raise QueryError(
                f"the prompt names images {tags} and {len(images)} are given: "
                "name each once and in order, <|image_1|> first"
            )
        first, *rest = _IMAGE_TAG.sub("<|image_0|>", prompt).split("<|image_0|>")
        ids = self.tokenizer.encode(first)
        for image, part in zip(images, rest, strict=True):
            num_tokens = self.image_processor.num_tokens(*image.size, num_crops)
            ids += [self.tokenizer.image_token_id] * num_tokens + self.tokenizer.encode(part)
        return ids

    def preprocess_images(self, images: Sequence[Image.Image], num_crops: int | None = None) -> PixelInputs:
        """Cut images into crops, padded to the same number."""
        if not images:
            return PixelInputs()
        tiles = [self.image_processor.preprocess(image, num_crops) for image in images]
        length = 1 + (self.image_processor.num_crops if num_crops is None else num_crops)
        padded = [pad(tile.pixels, (0, 0, 0, 0, 0, 0, 0, length - len(tile.pixels))) for tile in tiles]
        return PixelInputs(
            pixel_values=torch.stack(padded), image_sizes=torch.tensor([(tile.height, tile.width) for tile in tiles])
        )


def render_messages(messages: Sequence[Message], num_images: int, tokenizer: Phi3Tokenizer) -> list[dict[str, str]]:
    """Render untrusted messages for `apply_chat_template`: special tokens in their texts are broken up."""
    image_numbers = count(1)

    def render(part: Mapping[str, Any]) -> str:
        if part.get("type") == "image":
            return f"<|image_{next(image_numbers)}|>"
        if isinstance(part.get("text"), str):
            return tokenizer.escape_special_tokens(part["text"])
        raise QueryError(
            f"a message holds a part of type {part.get('type')!r}: "
            'give {"type": "text", "text": …} or {"type": "image"}, and images as `images`'
        )

    turns = place_images(messages, num_images)
    return [{"role": role, "content": "\n".join(map(render, parts))} for role, parts in turns]
