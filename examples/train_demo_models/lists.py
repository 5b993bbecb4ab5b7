"""Lists to practise ranking on: a sampler and the demo encoder in, wishes with candidates out."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from examples.train_demo_models.augment import encoder_pixels
from examples.train_demo_models.sampling import Sampler, Shares, Wanted, grades
from examples.train_demo_models.specimens import Specimens
from mmrag.datasets.wording import QueryType
from mmrag.embedding.visualized_bge.modeling import JointEncoder

__all__ = ["ListSampler", "Lists"]

_GALLERY = 900
# Three things are harder to compare than two: wishes that name or show a color come more often.
_SHARES: Shares = {
    QueryType.SWATCH_PRODUCT: 2,
    QueryType.PRODUCT_PRODUCT: 2,
    QueryType.RECOLOR: 4,
    QueryType.REPATTERN: 2,
    QueryType.TEXT: 3,
    QueryType.IMAGE: 3,
}
# How probable it is that a made-up candidate has the product, or the pattern, that is wished for.
_CLOSENESS = (0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class Lists:
    """Wishes, and for each the candidates in the order in which the model sees them."""

    wanted: list[Wanted]
    rows: NDArray[np.int64]  # (lists, n)
    grades: NDArray[np.int64]  # (lists, n), 0..3


class ListSampler:
    """Draws lists: what the encoder finds in a gallery, and made-up ones full of near misses."""

    def __init__(
        self, sampler: Sampler, encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, *, wishes: int, seed: int
    ) -> None:
        self.specimens, self._sampler = sampler.specimens, sampler
        rng = Random(f"lists {seed}")
        self._wanted = [sampler.wanted(rng, _SHARES) for _ in range(wishes)]
        self._products = np.array(sampler.products)
        self._gallery = _encode(encoder, tokenizer, [""] * len(self._products), self.specimens.eyes[self._products])
        self._queries = _encode_wishes(encoder, tokenizer, self._wanted, self.specimens)

    def draw(self, rng: np.random.Generator, *, found: int, made_up: int, n: int) -> Lists:
        """Draw lists of n candidates, in random order."""
        picks = rng.integers(0, len(self._wanted), found + made_up)
        wanted = [self._wanted[pick] for pick in picks]
        rows = [
            rng.permutation(self._found(pick, n, rng) if number < found else self._made_up(pick, n, rng))
            for number, pick in enumerate(picks)
        ]
        graded = [grades(wish, self.specimens.shown.part(part)) for wish, part in zip(wanted, rows, strict=True)]
        return Lists(wanted, np.stack(rows), np.stack(graded))

    def _found(self, pick: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Search a random gallery, as a user would, the query's own image taken out."""
        gallery = rng.choice(len(self._products), _GALLERY, replace=False)
        best = gallery[np.argsort(-(self._gallery[gallery] @ self._queries[pick]))]
        rows = self._products[best[: n + 1]]
        return rows[rows != self._wanted[pick].row][:n]

    def _made_up(self, pick: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Make up a list whose candidates miss each attribute of the wish now and then."""
        wanted = self._wanted[pick]
        closeness = rng.choice(_CLOSENESS)
        return np.array([self._sampler.near(wanted, closeness, rng) for _ in range(n)])


def _encode_wishes(
    encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, wanted: list[Wanted], specimens: Specimens
) -> NDArray[np.float32]:
    vectors = np.empty((len(wanted), encoder.dim), np.float32)
    shown = [place for place, wish in enumerate(wanted) if wish.row is not None]
    unseen = [place for place, wish in enumerate(wanted) if wish.row is None]
    rows = np.array([wish.row for wish in wanted if wish.row is not None])
    texts = [wish.text for wish in wanted]
    vectors[shown] = _encode(encoder, tokenizer, [texts[p] for p in shown], specimens.eyes[rows])
    vectors[unseen] = _encode(encoder, tokenizer, [texts[p] for p in unseen], None)
    return vectors


@torch.inference_mode()
def _encode(
    encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, texts: list[str], eyes: NDArray[np.uint8] | None
) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), 256):
        tokens = tokenizer(texts[start : start + 256], return_tensors="pt", padding=True)
        images = None
        if eyes is not None:
            shown = torch.from_numpy(eyes[start : start + 256]).permute(0, 3, 1, 2).float()
            images = encoder.image_tokens(encoder_pixels(shown))
        parts.append(encoder(tokens["input_ids"], tokens["attention_mask"], images).numpy())
    return np.concatenate(parts)
