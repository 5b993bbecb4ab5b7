"""Batches of composites as the crops of Phi-3 Vision, built from cached cells.

With cells as large as crops, the crops of a composite are its cells; so they are numbered, arranged and normalized
without drawing the composite. A test compares the pixels.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from examples.train_demo_models.augment import jittered
from examples.train_demo_models.training_images import CELL, TrainingImages
from mmrag.rerank.composite import compose, draw_label, draw_query
from mmrag.vision.phi3.image_processing import Phi3ImageProcessor

__all__ = ["COLUMNS", "MOST", "ROWS", "CompositeBuilder"]

COLUMNS = 5
ROWS = 2
MOST = 9
"""Candidates in a composite of the demo."""

_SHIFT = 4  # pixels


class CompositeBuilder:
    """Makes the crops of composites from cached cells."""

    def __init__(self, training_images: TrainingImages, image_processor: Phi3ImageProcessor) -> None:
        self.training_images, self.image_processor = training_images, image_processor

    def build(
        self, queries: list[int | None], candidates: NDArray[np.int64], rng: np.random.Generator | None = None
    ) -> Tensor:
        """Cut one composite for each query.

        Parameters
        ----------
        queries
            Rows of the queries' images; None for a query of text alone.
        candidates
            ``(lists, n)`` rows, at most `MOST` of them.
        rng
            Jitters the images when given.

        Returns
        -------
        Tensor
            ``(lists, 1 + ROWS * COLUMNS, 3, CELL, CELL)``, the global view first.
        """
        lists, n = candidates.shape
        seen = np.array([0 if row is None else row for row in queries])
        query = self._pixels(self.training_images.queries[seen], rng)
        unseen = torch.tensor([row is None for row in queries])[:, None, None, None]
        query = torch.where(unseen, self._wordless, query)
        shown = self._pixels(self.training_images.candidates[candidates.reshape(-1)], rng)
        numbers = torch.arange(n).repeat(lists)
        cells = self.numbered(shown, numbers).unflatten(0, (lists, n))
        empty = self._empty.expand(lists, MOST - n, -1, -1, -1)
        return self.cut(torch.cat([query[:, None], cells, empty], dim=1))

    def single(self, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, NDArray[np.int64]]:
        """Cut single cells, each a candidate's with a random number or (number 0) a query's.

        Returns
        -------
        tuple
            Crops ``(batch, 3, CELL, CELL)`` and numbers ``(batch,)``.
        """
        numbers = rng.integers(0, MOST + 1, len(rows))
        candidates = self._pixels(self.training_images.candidates[rows], rng)
        cells = self.numbered(candidates, torch.from_numpy(numbers.clip(min=1) - 1))
        queries = self._pixels(self.training_images.queries[rows], rng)
        cells = torch.where(torch.from_numpy(numbers == 0)[:, None, None, None], queries, cells)
        return self.normalized(cells), numbers

    def numbered(self, cells: Tensor, numbers: Tensor) -> Tensor:
        """Stamp cells ``(batch, 3, CELL, CELL)`` with plates; number 0 is the plate "1"."""
        cover, ink = self._plates
        return (cells * (1 - cover[numbers]) + ink[numbers]).round()

    def cut(self, cells: Tensor) -> Tensor:
        """Normalize ``(lists, places, 3, CELL, CELL)`` and put the global view before them."""
        cells = self.normalized(cells)
        whole = cells.unflatten(1, (ROWS, COLUMNS)).permute(0, 3, 1, 4, 2, 5)
        whole = whole.flatten(4).flatten(2, 3)  # (lists, 3, ROWS * CELL, COLUMNS * CELL)
        whole = F.interpolate(whole, size=(CELL, CELL), mode="bicubic")
        return torch.cat([whole[:, None], cells], dim=1)

    def normalized(self, cells: Tensor) -> Tensor:
        """Bring bytes to the tower's scale: ``(…, 3, CELL, CELL)``."""
        mean, std = torch.tensor(self.image_processor.mean), torch.tensor(self.image_processor.std)
        return (cells / 255 - mean[:, None, None]) / std[:, None, None]

    def _pixels(self, images: NDArray[np.uint8], rng: np.random.Generator | None) -> Tensor:
        if rng is not None:
            return jittered(images, rng, shift=_SHIFT)
        return torch.from_numpy(images).permute(0, 3, 1, 2).float()

    @cached_property
    def _plates(self) -> tuple[Tensor, Tensor]:
        # Stamping is affine in the cell below: black and white cells tell all of it.
        black, white = (Image.new("RGB", (CELL, CELL), name) for name in ("black", "white"))
        on_black = torch.stack([_bytes(draw_label(black, n)) for n in range(1, MOST + 1)])
        on_white = torch.stack([_bytes(draw_label(white, n)) for n in range(1, MOST + 1)])
        return 1 - (on_white - on_black) / 255, on_black  # each (MOST, 3, CELL, CELL)

    @cached_property
    def _wordless(self) -> Tensor:
        return _bytes(draw_query(None, CELL))

    @cached_property
    def _empty(self) -> Tensor:
        dot = Image.new("RGB", (1, 1))
        composite = compose(dot, [dot], cell=CELL, columns=COLUMNS, min_cells=MOST)
        return _bytes(composite.crop((2 * CELL, 0, 3 * CELL, CELL)))


def _bytes(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()  # (3, height, width)
