"""A conversation with images to the network's input, as published. In: messages. Out: tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Required, TypedDict

import PIL.Image
import torch
from torch import Tensor

from mmrag.errors import QueryError
from mmrag.vision.phi3.configuration import Phi3VisionConfig
from mmrag.vision.phi3.image_processing import CropRule, Crops
from mmrag.vision.phi3.tokenizer import Vocabulary

__all__ = ["Inputs", "Phi3VisionProcessor", "PixelInputs"]

_ROLES = ("system", "user", "assistant")
_TAG = re.compile(r"<\|image_(\d+)\|>")


class PixelInputs(TypedDict, total=False):
    """PixelInputs as the network takes them; empty where there are none."""

    pixel_values: Tensor  # (images, num_crops + 1, 3, side, side), zero-padded
    image_sizes: Tensor  # (images, 2): height, width after padding


class Inputs(PixelInputs):
    """A prompt with its images, as the network takes them."""

    input_ids: Required[Tensor]  # (1, tokens), `<|image|>` once for each image token
    attention_mask: Required[Tensor]  # (1, tokens)


class Phi3VisionProcessor:
    """Chat template, tokenizer and crops in one."""

    def __init__(self, vocabulary: Vocabulary, crops: CropRule) -> None:
        self.vocabulary, self.crops = vocabulary, crops

    @classmethod
    def of_folder(cls, folder: Path) -> Phi3VisionProcessor:
        """Read tokenizer and preprocessor of a checkpoint's folder."""
        config = Phi3VisionConfig.of_folder(folder)
        crops = CropRule.of_folder(folder, side=config.crop, grid=config.grid)
        return cls(Vocabulary.of_folder(folder), crops)

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write the messages in the published chat template, ready for the assistant's turn.

        Contents are taken as they are: special tokens and ``<|image_k|>`` in them are live.
        """
        if not messages:
            raise QueryError("there is no message to answer: give at least one user turn")
        strange = {turn["role"] for turn in messages} - set(_ROLES)
        if strange:
            raise QueryError(f"no role is named {strange.pop()!r}: take one of {', '.join(_ROLES)}")
        turns = [f"<|{turn['role']}|>\n{turn['content']}<|end|>\n" for turn in messages]
        asks = messages[-1]["role"] != "assistant"
        return "".join(turns) + ("<|assistant|>\n" if asks else "")

    def __call__(self, prompt: str, images: Sequence[PIL.Image.Image] = (), num_crops: int | None = None) -> Inputs:
        """Tokenize ``prompt`` and cut ``images``, which its tags name in order from 1."""
        ids = torch.tensor([self.ids(prompt, images, num_crops)])
        return Inputs(input_ids=ids, attention_mask=torch.ones_like(ids), **self.images(images, num_crops))

    def images(self, images: Sequence[PIL.Image.Image], num_crops: int | None = None) -> PixelInputs:
        """Cut ``images`` for the tower."""
        if not images:
            return PixelInputs()
        most = self.crops.num_crops if num_crops is None else num_crops
        cut = [self.crops.cut(image, num_crops) for image in images]
        return PixelInputs(
            pixel_values=torch.stack([_filled(tile, most + 1) for tile in cut]),
            image_sizes=torch.tensor([(tile.height, tile.width) for tile in cut]),
        )

    def ids(self, prompt: str, images: Sequence[PIL.Image.Image] = (), num_crops: int | None = None) -> list[int]:
        """Ids of ``prompt``, with a placeholder for each token of its images; nothing is cut.

        Each piece of text between images is tokenized alone and so has its own `<s>`, as
        published.
        """
        tags = [int(tag) for tag in _TAG.findall(prompt)]
        if tags != list(range(1, len(images) + 1)):
            raise QueryError(
                f"the prompt names images {tags} and {len(images)} are given: "
                "name each once and in order, <|image_1|> first"
            )
        counts = [self.crops.tokens(*image.size, num_crops) for image in images]
        pieces = _TAG.sub("<|image_0|>", prompt).split("<|image_0|>")
        ids = self.vocabulary.encode(pieces[0])
        for count, piece in zip(counts, pieces[1:], strict=True):
            ids += [self.vocabulary.placeholder] * count + self.vocabulary.encode(piece)
        return ids


def _filled(tile: Crops, crops: int) -> Tensor:
    missing = crops - len(tile.pixels)
    return torch.nn.functional.pad(tile.pixels, (0, 0, 0, 0, 0, 0, 0, missing))
