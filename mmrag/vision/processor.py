"""A conversation with pictures to the network's input, as published. In: messages. Out: tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import PIL.Image
import torch
from torch import Tensor

from mmrag.errors import QueryError
from mmrag.vision.config import Phi3VisionConfig
from mmrag.vision.crops import CropRule, Crops
from mmrag.vision.vocabulary import Vocabulary

__all__ = ["Inputs", "Phi3VisionProcessor"]

_TAG = re.compile(r"<\|image_(\d+)\|>")


class Inputs(TypedDict):
    """What the network takes; the last two only where there are pictures."""

    input_ids: Tensor  # (1, tokens), `<|image|>` once for each picture token
    attention_mask: Tensor  # (1, tokens)
    pixel_values: NotRequired[Tensor]  # (pictures, num_crops + 1, 3, side, side), zero-padded
    image_sizes: NotRequired[Tensor]  # (pictures, 2): height, width after padding


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
        turns = [f"<|{turn['role']}|>\n{turn['content']}<|end|>\n" for turn in messages]
        asks = messages[-1]["role"] != "assistant"
        return "".join(turns) + ("<|assistant|>\n" if asks else "")

    def __call__(
        self,
        prompt: str,
        images: Sequence[PIL.Image.Image] = (),
        num_crops: int | None = None,
    ) -> Inputs:
        """Tokenise ``prompt`` and cut ``images``, which its tags name in order from 1."""
        cut = [self.crops.cut(image, num_crops) for image in images]
        counts = [self.crops.tokens(picture.height, picture.width) for picture in cut]
        ids = torch.tensor([self.ids(prompt, counts)])
        inputs = Inputs(input_ids=ids, attention_mask=torch.ones_like(ids))
        if cut:
            most = self.crops.num_crops if num_crops is None else num_crops
            inputs["pixel_values"] = torch.stack([_filled(picture, most + 1) for picture in cut])
            inputs["image_sizes"] = torch.tensor([(p.height, p.width) for p in cut])
        return inputs

    def ids(self, prompt: str, counts: Sequence[int]) -> list[int]:
        """Ids of ``prompt``, in which picture k takes ``counts[k - 1]`` placeholders.

        Each piece of text between pictures is tokenised alone and so has its own `<s>`, as
        published.
        """
        tags = [int(tag) for tag in _TAG.findall(prompt)]
        if tags != list(range(1, len(counts) + 1)):
            raise QueryError(
                f"the prompt names pictures {tags} and {len(counts)} are given: "
                "name each once and in order, <|image_1|> first"
            )
        pieces = _TAG.sub("<|image_0|>", prompt).split("<|image_0|>")
        ids = self.vocabulary.encode(pieces[0])
        for count, piece in zip(counts, pieces[1:], strict=True):
            ids += [self.vocabulary.placeholder] * count + self.vocabulary.encode(piece)
        return ids


def _filled(picture: Crops, crops: int) -> Tensor:
    missing = crops - len(picture.pixels)
    return torch.nn.functional.pad(picture.pixels, (0, 0, 0, 0, 0, 0, 0, missing))
