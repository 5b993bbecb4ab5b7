"""Toy rows for a store. In: a number. Out: the same image node, vector and metadata, always."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from llama_index.core.schema import ImageNode

DIM = 32
PRODUCTS = ("mug", "tote bag", "lampshade", 'o\'clock "wall"')
VECTORS = np.random.default_rng(0).normal(size=(5_000, DIM))  # (rows, dim)


def row_id(number: int) -> str:
    return f"{number:064x}"


def facts(number: int) -> dict[str, object]:
    return {"price": number / 2, "product": PRODUCTS[number % 4], "shelf": number % 100}


def rows(numbers: Iterable[int], **metadata: object) -> list[ImageNode]:
    return [
        ImageNode(
            id_=row_id(number),
            image_path=f"/shop/{number}.jpg",
            text=f"image {number}",
            embedding=VECTORS[number].tolist(),
            metadata=facts(number) | metadata,
        )
        for number in numbers
    ]


def nearest(vector: np.ndarray, numbers: Sequence[int], n: int) -> list[str]:
    """The ids that an exhaustive search by cosine gives."""
    some = VECTORS[list(numbers)]
    similarity = some @ vector / np.linalg.norm(some, axis=1)  # (numbers,)
    return [row_id(numbers[i]) for i in np.argsort(-similarity)[:n]]
