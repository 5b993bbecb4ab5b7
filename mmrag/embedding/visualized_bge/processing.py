"""An image as the tower wants it: an image from any source in, normalized pixels out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmrag.errors import ImageError
from mmrag.images import ImageSource, load_image

__all__ = ["PreprocessedImage", "image_pixels", "preprocess_image"]

# OpenAI CLIP's statistics, which EVA02-CLIP kept.
_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
_STD = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)

# A thinner strip would be blown up to gigabytes before its center is cut out.
_LONGEST_STRIP = 100


@dataclass(frozen=True, eq=False)
class PreprocessedImage:
    """What the tower will see.

    Attributes
    ----------
    pixels
        float32, ``(3, side, side)``.
    key
        A hash of the pixels: images that look the same to the tower have the same key.
    """

    pixels: Tensor
    key: str


def preprocess_image(source: ImageSource, side: int) -> PreprocessedImage:
    """Load an image and make it ready.

    Raises
    ------
    ImageError
        When it cannot be loaded, or is no more than a thin strip.
    """
    pixels = image_pixels(load_image(source), side)
    return PreprocessedImage(pixels, hashlib.sha256(pixels.numpy().tobytes()).hexdigest())


def image_pixels(image: Image.Image, side: int) -> Tensor:
    """Resize, crop the center, convert to RGB and normalize, in the order of the original.

    Parameters
    ----------
    image
        Of any mode. It is resized in its own mode, as the original does: palettes by nearest
        neighbor, alpha premultiplied and then dropped.
    side
        Of the square the tower looks at.

    Returns
    -------
    Tensor
        float32, ``(3, side, side)``.

    Raises
    ------
    ImageError
        When the image is a strip of which the crop would show next to nothing.

    Examples
    --------
    >>> image_pixels(Image.new("L", (50, 90)), side=32).shape
    torch.Size([3, 32, 32])
    """
    square = _center(_resize(image, side), side).convert("RGB")
    # NumPy, not torch, whose thread pool would compete with the network's.
    scaled = np.asarray(square, np.float32) / np.float32(255)  # (side, side, 3)
    normalized = (scaled - _MEAN) / _STD
    return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)))


def _resize(image: Image.Image, side: int) -> Image.Image:
    short, long = sorted(image.size)
    if long > _LONGEST_STRIP * short:
        raise ImageError(
            f"an image of {image.width} x {image.height} is a strip of more than "
            f"{_LONGEST_STRIP} : 1, and only its center square would be seen: crop it first"
        )
    longer = int(side * long / short)  # truncated, not rounded
    size = (side, longer) if image.width <= image.height else (longer, side)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _center(image: Image.Image, side: int) -> Image.Image:
    # Python rounds halves to the even neighbor here, and so did the original.
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
