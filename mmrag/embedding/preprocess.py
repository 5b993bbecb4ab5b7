"""A picture as the tower wants it: a PIL image of any mode and shape in, normalised pixels out."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmrag.errors import ImageError

__all__ = ["picture_pixels"]

# OpenAI CLIP's statistics, which EVA02-CLIP kept.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)

# A thinner strip would be blown up to gigabytes before its centre is cut out.
_LONGEST_STRIP = 100


def picture_pixels(image: Image.Image, side: int) -> Tensor:
    """Resize, crop the centre, convert to RGB and normalise, in the order of the original.

    Parameters
    ----------
    image
        Of any mode. It is resized in its own mode, as the original does: palettes by nearest
        neighbour, alpha premultiplied and then dropped.
    side
        Of the square the tower looks at.

    Returns
    -------
    Tensor
        float32, ``(3, side, side)``.

    Raises
    ------
    ImageError
        When the picture is a strip of which the crop would show next to nothing.

    Examples
    --------
    >>> picture_pixels(Image.new("L", (50, 90)), side=32).shape
    torch.Size([3, 32, 32])
    """
    square = _centre(_resize(image, side), side).convert("RGB")
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)  # (3, side, side)
    mean, std = torch.tensor(_MEAN), torch.tensor(_STD)
    return pixels.float().div(255).sub(mean[:, None, None]).div(std[:, None, None])


def _resize(image: Image.Image, side: int) -> Image.Image:
    short, long = sorted(image.size)
    if long > _LONGEST_STRIP * short:
        raise ImageError(
            f"a picture of {image.width} x {image.height} is a strip of more than "
            f"{_LONGEST_STRIP} : 1, and only its centre square would be seen: crop it first"
        )
    longer = int(side * long / short)  # truncated, not rounded
    size = (side, longer) if image.width <= image.height else (longer, side)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _centre(image: Image.Image, side: int) -> Image.Image:
    # Python rounds halves to the even neighbour here, and so did the original.
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
