"""An encoder for tests: no weights, no network. In: text, images, queries. Out: unit vectors.

An image is its colors and a coarse layout; a word is itself; a color's name is also that color.
So "red" finds red images, an image finds itself, and image + "red" finds its red likeness.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from mmrag.images import ImageSource, load_image
from mmrag.query import Query

__all__ = ["ToyEncoder", "toy_encoder"]

COLORS = {
    "black": (20, 20, 20),
    "white": (240, 240, 240),
    "grey": (128, 128, 128),
    "red": (210, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (240, 220, 50),
    "green": (50, 160, 70),
    "teal": (30, 140, 150),
    "blue": (50, 90, 200),
    "purple": (130, 60, 170),
    "pink": (240, 140, 180),
    "brown": (130, 85, 50),
}
WORD_BINS = 64
LAYOUT = 4


@dataclass(frozen=True)
class ToyEncoder:
    """Answers like a real encoder, from pixels and letters alone."""

    name: str = "toy"

    @property
    def dim(self) -> int:
        """The length of every vector."""
        return len(COLORS) + WORD_BINS + 3 * LAYOUT * LAYOUT

    def supports(self, kind: Literal["text", "image", "composed"]) -> bool:
        """Tell whether ``kind`` of item can be encoded: all three can."""
        return kind in ("text", "image", "composed")

    def encode(
        self, items: Sequence[Query | str | ImageSource], *, batch_size: int = 32, show_progress: bool = False
    ) -> np.ndarray:
        """Turn items into vectors, in order.  (n, dim) float32, each of length 1."""
        vectors = np.stack([self._vector(item) for item in items]) if items else np.empty((0, self.dim))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)

    def _vector(self, item: Query | str | ImageSource) -> np.ndarray:
        match item:
            case str():
                return _of_text(item)
            case Query(text=text, image=None):
                return _of_text(text)
            case Query(text=text, image=image) if image is not None:
                return _of_image(load_image(image)) + _of_text(text)
            case _:
                return _of_image(load_image(item))  # pyright: ignore[reportArgumentType]


def toy_encoder(name: str = "toy") -> ToyEncoder:
    """Make the encoder; two encoders of the same name are equal.

    Examples
    --------
    >>> from PIL import Image
    >>> red, blue = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    >>> wish, *shelf = toy_encoder().encode(["a red mug", blue, red])
    >>> int(np.argmax(shelf @ wish))
    1
    """
    return ToyEncoder(name)


def _of_image(image: Image.Image) -> np.ndarray:
    small = image.convert("RGB").resize((16, 16), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float64).reshape(-1, 1, 3)  # (pixels, 1, rgb)
    palette = np.array(list(COLORS.values()), dtype=np.float64)  # (colors, rgb)
    nearest = np.linalg.norm(pixels - palette, axis=2).argmin(axis=1)  # (pixels,)
    colors = np.bincount(nearest, minlength=len(COLORS)) / len(nearest)
    coarse = small.resize((LAYOUT, LAYOUT), Image.Resampling.BOX)
    layout = np.asarray(coarse, dtype=np.float64).ravel() / 255 - 0.5
    return np.concatenate([_unit(colors), np.zeros(WORD_BINS), _unit(layout) / 2])


def _of_text(text: str) -> np.ndarray:
    words = re.findall(r"\w+", text.lower())
    colors = np.array([float(color in words) for color in COLORS])
    bins = np.zeros(WORD_BINS)
    for word in words:
        # not hash(): that one differs from process to process
        bins[hashlib.sha256(word.encode()).digest()[0] % WORD_BINS] += 1
    return np.concatenate([_unit(colors), _unit(bins) / 2, np.zeros(3 * LAYOUT * LAYOUT)])


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
