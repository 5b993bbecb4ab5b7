"""An image cut for the tower. In: an image. Out: a global view and crops of the enlarged image.

The published steps, on Pillow and torch: enlarge to as many crops as allowed, pad with white, cut.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from PIL.Image import Resampling, Transpose
from torch import Tensor

from mmrag.errors import ImageError
from mmrag.vision.phi3.files import read_object

__all__ = ["PREPROCESSOR_FILE", "CropRule", "Crops"]

PREPROCESSOR_FILE = "preprocessor_config.json"
_WHITE = (255, 255, 255)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Crops(NamedTuple):
    """One image, cut: the global view and then the crops, row by row."""

    pixels: Tensor  # (rows x columns + 1, 3, side, side)
    height: int
    width: int


@dataclass(frozen=True)
class CropRule:
    """How images are cut.

    Attributes
    ----------
    side
        Pixels of a crop's side.
    grid
        Tokens of a crop's side.
    num_crops
        Most crops of an image, the global view not counted.
    mean, std
        Of each color, for the normalization.

    Examples
    --------
    >>> CropRule(side=336, grid=12).size(1920, 1080)
    (1680, 945)
    >>> CropRule(side=336, grid=12).tokens(1000, 1000)
    2509
    """

    side: int
    grid: int
    num_crops: int = 16
    mean: tuple[float, ...] = _CLIP_MEAN
    std: tuple[float, ...] = _CLIP_STD

    @classmethod
    def of_folder(cls, folder: Path, *, side: int, grid: int) -> CropRule:
        """Read a checkpoint's `preprocessor_config.json`."""
        given = read_object(folder / PREPROCESSOR_FILE)
        return cls(
            side=side,
            grid=grid,
            num_crops=given.get("num_crops", 16),
            mean=tuple(given.get("image_mean", _CLIP_MEAN)),
            std=tuple(given.get("image_std", _CLIP_STD)),
        )

    def to_json(self) -> str:
        """Write the text of a `preprocessor_config.json`."""
        fields = {
            "num_crops": self.num_crops,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "num_img_tokens": self.grid**2,
        }
        return json.dumps(fields, indent=2) + "\n"

    def size(self, width: int, height: int, num_crops: int | None = None) -> tuple[int, int]:
        """Width and height after enlarging, before padding; small images grow as well."""
        if width < height:
            tall, wide = self.size(height, width, num_crops)
            return wide, tall
        allowed = self.num_crops if num_crops is None else num_crops
        if allowed < 1:
            raise ImageError(f"an image needs at least one crop, not {allowed}: raise num_crops")
        ratio = width / height
        columns = 1
        while (columns + 1) * math.ceil((columns + 1) / ratio) <= allowed:
            columns += 1
        wide = columns * self.side
        # truncated, not rounded, as published; a thread of an image keeps one pixel
        return wide, max(1, int(wide / ratio))

    def tokens(self, width: int, height: int, num_crops: int | None = None) -> int:
        """Tokens of an image: crops, row ends, divider, global view."""
        columns, rows = (math.ceil(side / self.side) for side in self.size(width, height, num_crops))
        return (rows * columns + 1) * self.grid**2 + 1 + (rows + 1) * self.grid

    def cut(self, image: PIL.Image.Image, num_crops: int | None = None) -> Crops:
        """Enlarge, pad and normalize ``image``, and cut it into crops."""
        rgb = image.convert("RGB")  # as published: transparency is dropped, hidden colors appear
        upright = rgb.width < rgb.height
        # portraits lie down for resizing and padding, so that the padding falls left and right
        lying = rgb.transpose(Transpose.TRANSPOSE) if upright else rgb
        padded = self._enlarge(lying, num_crops)
        pixels = self._normalize(padded.transpose(Transpose.TRANSPOSE) if upright else padded)
        _, height, width = pixels.shape
        whole = torch.nn.functional.interpolate(pixels[None], size=(self.side, self.side), mode="bicubic")
        parts = pixels.unflatten(2, (-1, self.side)).unflatten(1, (-1, self.side))
        parts = parts.permute(1, 3, 0, 2, 4).flatten(0, 1)  # (rows x columns, 3, side, side)
        return Crops(torch.cat([whole, parts]), height, width)

    def _enlarge(self, lying: PIL.Image.Image, num_crops: int | None) -> PIL.Image.Image:
        wide, tall = self.size(lying.width, lying.height, num_crops)
        padded = PIL.Image.new("RGB", (wide, math.ceil(tall / self.side) * self.side), _WHITE)
        resized = lying.resize((wide, tall), Resampling.BILINEAR)
        padded.paste(resized, (0, (padded.height - tall) // 2))
        return padded

    def _normalize(self, image: PIL.Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return (pixels - mean[:, None, None]) / std[:, None, None]  # (3, height, width)
