"""Golden encoders: tiny models and the vectors that the original implementation returned for them."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from mmrag.query import Query

if TYPE_CHECKING:
    from mmrag.embedding import VisualizedBGE

TOLERANCE = 1e-5
HOME = Path(__file__).parents[1] / "golden" / "visualized_bge"


@dataclass(frozen=True)
class Golden:
    """A golden data set: a checkpoint, items and their expected vectors."""

    folder: Path
    texts: list[str]
    images: list[Path | None]
    expected: np.ndarray
    input_ids: list[list[int]]

    @property
    def items(self) -> list[Query | str]:
        return [
            text if image is None else Query(text, image=image)
            for text, image in zip(self.texts, self.images, strict=True)
        ]

    @cached_property
    def loaded(self) -> VisualizedBGE:
        # Not above: Hugging Face's libraries must find the environment of tests/conftest.py.
        from mmrag.embedding import VisualizedBGE

        return VisualizedBGE.from_pretrained(self.folder, device="cpu")

    def encoder(self, **options: int) -> VisualizedBGE:
        """Return a copy to change, with an empty cache."""
        original = self.loaded
        return type(original)(copy.deepcopy(original.network), original.tokenizer, name=original.info.name, **options)

    @cached_property
    def weights(self) -> dict[str, torch.Tensor]:
        return torch.load(self.folder / "Visualized_tiny.pth", weights_only=True)

    def error(self, encoder: VisualizedBGE, batch_size: int = 8) -> float:
        vectors = encoder.encode(self.items, batch_size=batch_size)
        return float(np.abs(vectors - self.expected).max())

    def error_with(self, mutant, monkeypatch) -> float:
        encoder = self.encoder()
        with torch.no_grad():
            mutant(monkeypatch, encoder.network, self.weights)
        error = 0.0
        for part in (slice(start, None, 4) for start in range(4)):  # mixed items; one part shows most mutants
            if error <= TOLERANCE:
                error = max(error, float(np.abs(encoder.encode(self.items[part]) - self.expected[part]).max()))
        return error


def read_golden(name: str) -> Golden:
    folder = HOME / name
    cases = json.loads((folder / "cases.json").read_text())
    expected, ids = (np.load(folder / "expected.npz"), json.loads((folder / "input_ids.json").read_text()))
    return Golden(
        folder,
        texts=[case["text"] or "" for case in cases],
        images=[case["image"] and folder / "images" / case["image"] for case in cases],
        expected=np.stack([expected[case["id"]] for case in cases]),
        input_ids=[ids[case["id"]] for case in cases],
    )


@pytest.fixture(scope="session", params=["base-tiny", "m3-tiny"])
def golden(request) -> Golden:
    return read_golden(request.param)


@pytest.fixture(scope="session")
def base() -> Golden:
    return read_golden("base-tiny")


@pytest.fixture(scope="session")
def xlm_roberta() -> Golden:
    return read_golden("m3-tiny")


@pytest.fixture
def encoder(base) -> VisualizedBGE:
    return base.encoder()
