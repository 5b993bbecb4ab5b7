"""An encoder for tests, without weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mmrag.embedding.base import EncoderInfo, EncoderItem, Progress, Role, as_query
from mmrag.images import load_image
from mmrag.query import Query

__all__ = ["ToyEncoder", "toy_encoder"]

COLORS = {
    "black": (20, 20, 20), "white": (240, 240, 240), "grey": (128, 128, 128), "red": (210, 40, 40),
    "orange": (240, 140, 30), "yellow": (240, 220, 50), "green": (50, 160, 70), "teal": (30, 140, 150),
    "blue": (50, 90, 200), "purple": (130, 60, 170), "pink": (240, 140, 180), "brown": (130, 85, 50),
}  # fmt: skip
WORD_BINS = 64
LAYOUT = 4


@dataclass(frozen=True)
class ToyEncoder:
    """Deterministic encoder of colors and words.

    An image is embedded by its colors and a coarse layout, a word by its hash, a color's name also by its color. So
    "red" finds red images, an image finds itself, and an image with "red" finds a red image like it.
    """

    name: str = "toy"

    @property
    def info(self) -> EncoderInfo:
        """Name, fingerprint, dimension and kinds."""
        return EncoderInfo(self.name, fingerprint=f"{self.name}-1", dim=len(COLORS) + WORD_BINS + 3 * LAYOUT * LAYOUT)

    def encode(
        self,
        items: Sequence[EncoderItem],
        *,
        role: Role = "document",
        batch_size: int = 32,
        on_progress: Progress | None = None,
    ) -> npt.NDArray[np.float32]:
        """Encode items to unit vectors, ``(n, dim)``, in input order."""
        vectors = np.stack([_vector(as_query(item)) for item in items]) if items else np.empty((0, self.info.dim))
        if on_progress is not None:
            on_progress(len(items), len(items))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)


def toy_encoder(name: str = "toy") -> ToyEncoder:
    """Create a toy encoder; two of the same name are equal."""
    return ToyEncoder(name)


def _vector(query: Query) -> np.ndarray:
    text = _of_text(query.text)
    if query.image is None:
        return text
    small = load_image(query.image).convert("RGB").resize((16, 16), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float64).reshape(-1, 1, 3)  # (pixels, 1, rgb)
    palette = np.array(list(COLORS.values()), dtype=np.float64)  # (colors, rgb)
    nearest = np.linalg.norm(pixels - palette, axis=2).argmin(axis=1)  # (pixels,)
    colors = np.bincount(nearest, minlength=len(COLORS)) / len(nearest)
    coarse = small.resize((LAYOUT, LAYOUT), Image.Resampling.BOX)
    layout = np.asarray(coarse, dtype=np.float64).ravel() / 255 - 0.5
    return text + np.concatenate([_unit(colors), np.zeros(WORD_BINS), _unit(layout) / 2])


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
