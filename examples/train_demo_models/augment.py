"""Augmentations that keep what an image shows, and the encoder's normalization."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mmrag.embedding.visualized_bge.processing import image_pixels

__all__ = ["encoder_pixels", "jittered"]


def jittered(images: NDArray[np.uint8], rng: np.random.Generator, *, shift: int) -> Tensor:
    """Mirror half of the images, shift them up to ``shift`` pixels, change their light a little.

    Parameters
    ----------
    images
        ``(batch, side, side, 3)``.

    Returns
    -------
    Tensor
        float32 in 0..255, ``(batch, 3, side, side)``.
    """
    batch, side = images.shape[:2]
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()  # (batch, 3, side, side)
    mirrored = torch.from_numpy(rng.random(batch) < 0.5)
    x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
    padded = F.pad(x, (shift,) * 4, mode="replicate")
    corners = rng.integers(0, 2 * shift + 1, (batch, 2)).tolist()
    x = torch.stack(
        [image[:, top : top + side, left : left + side] for image, (top, left) in zip(padded, corners, strict=True)]
    )
    light = torch.from_numpy(rng.uniform(0.92, 1.08, (batch, 1, 1, 1)).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(-6, 6, (batch, 3, 1, 1)).astype(np.float32))
    return (x * light + tint).clamp(0, 255).round()


def encoder_pixels(images: Tensor) -> Tensor:
    """Normalize ``(batch, 3, side, side)`` in 0..255 as the encoder's preprocessing does."""
    black, white = _black_and_white()
    return black + images / 255 * (white - black)


@cache
def _black_and_white() -> tuple[Tensor, Tensor]:
    # Normalizing is affine and the same everywhere: two images of one pixel tell all of it.
    black = image_pixels(Image.new("RGB", (1, 1), "black"), 1)  # (3, 1, 1)
    white = image_pixels(Image.new("RGB", (1, 1), "white"), 1)
    return black, white
