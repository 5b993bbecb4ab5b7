"""What the embedding needs of an encoder. In: texts, images, queries. Out: vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

__all__ = ["Encoder"]


class Encoder(Protocol):
    """What turns items into vectors: `mmrag.VisualizedBGE`, or anything with the same facts."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def dim(self) -> int: ...  # noqa: D102

    def supports(self, kind: Literal["text", "image", "composed"]) -> bool: ...  # noqa: D102

    def encode(self, items: Sequence[Any], *, batch_size: int = 32) -> np.ndarray: ...  # noqa: D102
