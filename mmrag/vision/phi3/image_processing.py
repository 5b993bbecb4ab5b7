"""Image preprocessing of Phi-3 Vision: a global view and crops of the enlarged image."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling, Transpose
from torch import Tensor

from mmrag.errors import ImageError
from mmrag.vision.base import read_json_object
from mmrag.vision.phi3.configuration import Phi3VisionConfig

__all__ = ["PREPROCESSOR_FILE", "ImageTiles", "Phi3ImageProcessor"]

PREPROCESSOR_FILE = "preprocessor_config.json"
_WHITE = (255, 255, 255)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ImageTiles(NamedTuple):
    """Global view and crops of one image, and its padded size in pixels."""

    pixels: Tensor  # (rows columns + 1, 3, crop_size, crop_size), crops row by row
    height: int
    width: int


@dataclass(frozen=True)
class Phi3ImageProcessor:
    """Cuts images into crops and normalizes them.

    >>> Phi3ImageProcessor(crop_size=336, tokens_per_side=12).resized_size(1920, 1080)
    (1680, 945)
    """

    crop_size: int  # side in pixels
    tokens_per_side: int
    num_crops: int = 16  # maximum, without the global view
    mean: tuple[float, ...] = _CLIP_MEAN
    std: tuple[float, ...] = _CLIP_STD

    @classmethod
    def from_folder(cls, folder: Path) -> Phi3ImageProcessor:
        """Read the `preprocessor_config.json` of a checkpoint, and the sizes of its `config.json`."""
        config, values = Phi3VisionConfig.from_folder(folder), read_json_object(folder / PREPROCESSOR_FILE)
        mean, std = values.get("image_mean", _CLIP_MEAN), values.get("image_std", _CLIP_STD)
        return cls(config.crop_size, config.tokens_per_side, values.get("num_crops", 16), tuple(mean), tuple(std))

    def to_json(self) -> str:
        """Return the text of a `preprocessor_config.json`."""
        values = {"num_crops": self.num_crops, "image_mean": self.mean, "image_std": self.std}
        return json.dumps(values | {"num_img_tokens": self.tokens_per_side**2}, indent=2) + "\n"

    def resized_size(self, width: int, height: int, num_crops: int | None = None) -> tuple[int, int]:
        """Return width and height after resizing, before padding; small images are enlarged too."""
        if width < height:
            long_side, short_side = self.resized_size(height, width, num_crops)
            return short_side, long_side
        limit = self.num_crops if num_crops is None else num_crops
        if limit < 1:
            raise ImageError(f"an image needs at least one crop, not {limit}: raise num_crops")
        ratio = width / height
        columns = 1
        while (columns + 1) * math.ceil((columns + 1) / ratio) <= limit:
            columns += 1
        resized_width = columns * self.crop_size
        # truncated, not rounded, as published; an image 1 pixel high keeps its pixel
        return resized_width, max(1, int(resized_width / ratio))

    def num_tokens(self, width: int, height: int, num_crops: int | None = None) -> int:
        """Count the tokens of an image: crops, row separators, global separator, global view."""
        columns, rows = (math.ceil(side / self.crop_size) for side in self.resized_size(width, height, num_crops))
        return (rows * columns + 1) * self.tokens_per_side**2 + 1 + (rows + 1) * self.tokens_per_side

    def preprocess(self, image: Image.Image, num_crops: int | None = None) -> ImageTiles:
        """Resize, pad and normalize an image, and cut it into crops."""
        rgb = image.convert("RGB")  # as published: transparency is dropped, hidden colors appear
        is_portrait = rgb.width < rgb.height
        # portraits are transposed for resizing and padding, so that they are padded left and right
        landscape = rgb.transpose(Transpose.TRANSPOSE) if is_portrait else rgb
        side = self.crop_size
        width, height = self.resized_size(*landscape.size, num_crops)
        padded = Image.new("RGB", (width, math.ceil(height / side) * side), _WHITE)
        padded.paste(landscape.resize((width, height), Resampling.BILINEAR), (0, (padded.height - height) // 2))
        upright = padded.transpose(Transpose.TRANSPOSE) if is_portrait else padded
        pixels = torch.from_numpy(np.array(upright)).permute(2, 0, 1).float() / 255  # (3, height, width)
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        pixels = (pixels - mean[:, None, None]) / std[:, None, None]
        global_view = torch.nn.functional.interpolate(pixels[None], size=(side, side), mode="bicubic")
        crops = pixels.unflatten(2, (-1, side)).unflatten(1, (-1, side))  # (3, rows, side, columns, side)
        crops = crops.permute(1, 3, 0, 2, 4).flatten(0, 1)  # (rows columns, 3, side, side)
        return ImageTiles(torch.cat([global_view, crops]), upright.height, upright.width)
