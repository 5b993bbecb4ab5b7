"""Training images at the sizes of both models, drawn in resumable chunks.

Each image is drawn at catalog size, encoded and decoded as JPEG, and resized as the models' preprocessing does.
"""

from __future__ import annotations

import io
import logging
import multiprocessing
import random
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS, colors_of
from mmrag.datasets.render import draw_product, draw_swatch
from mmrag.rerank.composite import draw_candidate, draw_query

__all__ = ["CELL", "ENCODER_SIZE", "HELD_OUT_PAIRS", "SWATCH", "TrainingImages", "draw_training_images"]

logger = logging.getLogger(__name__)

ENCODER_SIZE = 64
"""Side at which the demo encoder looks."""
CELL = 96
"""Side of a composite's cell, at which the demo reranker looks."""
SWATCH = len(PRODUCTS)
"""The product number of a swatch: none of the products."""

HELD_OUT_PAIRS = frozenset({
    ("phone case", "floral"), ("mug", "zebra"), ("mug", "heart"), ("t-shirt", "plaid"), ("t-shirt", "leopard"),
    ("tote bag", "leopard"), ("sneaker", "camouflage"), ("sneaker", "star"), ("backpack", "heart"),
    ("backpack", "tiger"), ("lamp", "polka dot"), ("cushion", "tiger"), ("cushion", "floral"), ("watch", "striped"),
    ("dress", "chevron"), ("dress", "zebra"), ("umbrella", "star"), ("umbrella", "camouflage"),
    ("notebook", "plain"), ("notebook", "polka dot"),
})  # fmt: skip
"""Pairs of product and pattern excluded from training, to measure compositional generalization."""

_COLUMNS = ("encoder_images", "candidates", "queries", "product", "pattern", "color")
_CHUNK = 500
_SWATCHES_OF_TEN = 1
# Far above the seeds of catalogs and queries, which count from small numbers.
_SEEDS = 1_000_000_000


@dataclass(frozen=True)
class ImageAttributes:
    """What images show, as numbers into `PRODUCTS` (or `SWATCH`), `PATTERNS` and `COLORS`."""

    product: NDArray[np.int64]  # (n,)
    pattern: NDArray[np.int64]  # (n,)
    color: NDArray[np.int64]  # (n,)

    def select(self, rows: slice | NDArray[np.int64]) -> ImageAttributes:
        """Take some of them."""
        return ImageAttributes(self.product[rows], self.pattern[rows], self.color[rows])


@dataclass(frozen=True)
class TrainingImages:
    """Images at the sizes at which the models look, and what they show."""

    encoder_images: NDArray[np.uint8]  # (n, ENCODER_SIZE, ENCODER_SIZE, 3): as the encoder's preprocessing leaves them
    candidates: NDArray[np.uint8]  # (n, CELL, CELL, 3): as candidates' cells, not yet numbered
    queries: NDArray[np.uint8]  # (n, CELL, CELL, 3): as the query's cell
    attributes: ImageAttributes

    def __len__(self) -> int:
        return len(self.encoder_images)


def draw_training_images(folder: Path, count: int, seed: int) -> TrainingImages:
    """Draw ``count`` images, or as many as are not yet in ``folder``.

    No image shows a pair of `HELD_OUT_PAIRS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"seed{seed}-{chunk:04}.npz" for chunk in range(-(-count // _CHUNK))]
    missing = [chunk for chunk, file in enumerate(files) if not file.exists()]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = pool.map(partial(_draw_chunk, seed=seed, folder=folder), missing)
        for done, _ in enumerate(drawn, start=len(files) - len(missing) + 1):
            if done % 10 == 0:
                logger.info("drawn %d of %d images", done * _CHUNK, count)
    return _join(files, count)


def _draw_chunk(chunk: int, *, seed: int, folder: Path) -> None:
    training_images = [_draw(seed, number) for number in range(chunk * _CHUNK, (chunk + 1) * _CHUNK)]
    columns = dict(zip(_COLUMNS, zip(*training_images, strict=True), strict=True))
    file = folder / f"seed{seed}-{chunk:04}.npz"
    partial_file = file.with_suffix(".partial.npz")
    stacked = {name: np.stack(values) for name, values in columns.items()}
    np.savez(partial_file, allow_pickle=False, **stacked)
    partial_file.rename(file)


def _draw(seed: int, number: int) -> tuple[NDArray[np.uint8] | int, ...]:
    """Draw one, in the order of `_COLUMNS`."""
    rng = random.Random(f"specimen {seed} {number}")
    pattern = rng.choice(PATTERNS)
    color = rng.choice(colors_of(pattern))
    own_seed = _SEEDS * (seed + 1) + number
    if rng.random() * 10 < _SWATCHES_OF_TEN:
        product, image = SWATCH, draw_swatch(pattern, color, own_seed)
    else:
        name = rng.choice([name for name in PRODUCTS if (name, pattern) not in HELD_OUT_PAIRS])
        product, image = PRODUCTS.index(name), draw_product(name, pattern, color, own_seed)
    seen = _through_jpeg(image)
    return (
        np.asarray(seen.resize((ENCODER_SIZE, ENCODER_SIZE), Image.Resampling.BICUBIC)),
        np.asarray(draw_candidate(seen, CELL)),
        np.asarray(draw_query(seen, CELL)),
        product,
        PATTERNS.index(pattern),
        COLORS.index(color),
    )


def _through_jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return Image.open(buffer).convert("RGB")


def _join(files: Iterable[Path], count: int) -> TrainingImages:
    chunks: list[list[NDArray[np.uint8]]] = []
    for file in files:
        with np.load(file) as chunk:
            chunks.append([chunk[name] for name in _COLUMNS])
    encoder_images, candidates, queries, *shown = (
        np.concatenate(column)[:count] for column in zip(*chunks, strict=True)
    )
    return TrainingImages(encoder_images, candidates, queries, ImageAttributes(*shown))
