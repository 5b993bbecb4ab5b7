"""Batches of queries with candidates: retrieved by the demo encoder, or sampled near the query."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from examples.train_demo_models.augment import encoder_pixels
from examples.train_demo_models.sampling import SampledQuery, Sampler, Shares, grades
from examples.train_demo_models.training_images import TrainingImages
from mmrag.datasets.wording import QueryType
from mmrag.embedding.visualized_bge.modeling import JointEncoder

__all__ = ["BatchSampler", "RankingBatch"]

_GALLERY = 900
# Three attributes are harder to compare than two: queries with a color are sampled more often.
_SHARES: Shares = {
    QueryType.SWATCH_PRODUCT: 2,
    QueryType.PRODUCT_PRODUCT: 2,
    QueryType.RECOLOR: 4,
    QueryType.REPATTERN: 2,
    QueryType.TEXT: 3,
    QueryType.IMAGE: 3,
}
# Probabilities that a sampled candidate has the product, or the pattern, of the target.
_CLOSENESS = (0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class RankingBatch:
    """Queries, and the candidates of each in the order in which the model sees them."""

    queries: list[SampledQuery]
    rows: NDArray[np.int64]  # (lists, n)
    grades: NDArray[np.int64]  # (lists, n), 0..3


class BatchSampler:
    """Samples lists of candidates: retrieved from a gallery by the encoder, or near the query."""

    def __init__(
        self, sampler: Sampler, encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, *, n_queries: int, seed: int
    ) -> None:
        self.training_images, self._sampler = sampler.training_images, sampler
        rng = Random(f"lists {seed}")
        self._queries = [sampler.sample_query(rng, _SHARES) for _ in range(n_queries)]
        self._products = np.array(sampler.products)
        inputs = self.training_images.encoder_images[self._products]
        self._gallery = _encode(encoder, tokenizer, [""] * len(self._products), inputs)
        self._query_vectors = _encode_queries(encoder, tokenizer, self._queries, self.training_images)

    def sample(self, rng: np.random.Generator, *, retrieved: int, near: int, n: int) -> RankingBatch:
        """Sample lists of n candidates in random order: some retrieved, some near their query."""
        picks = rng.integers(0, len(self._queries), retrieved + near)
        queries = [self._queries[pick] for pick in picks]
        rows = [
            rng.permutation(self._retrieve(pick, n, rng) if number < retrieved else self._sample_near(pick, n, rng))
            for number, pick in enumerate(picks)
        ]
        graded = [
            grades(query, self.training_images.attributes.select(part))
            for query, part in zip(queries, rows, strict=True)
        ]
        return RankingBatch(queries, np.stack(rows), np.stack(graded))

    def _retrieve(self, pick: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Search a random gallery without the query's own image."""
        gallery = rng.choice(len(self._products), _GALLERY, replace=False)
        best = gallery[np.argsort(-(self._gallery[gallery] @ self._query_vectors[pick]))]
        rows = self._products[best[: n + 1]]
        return rows[rows != self._queries[pick].row][:n]

    def _sample_near(self, pick: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        query = self._queries[pick]
        closeness = rng.choice(_CLOSENESS)
        return np.array([self._sampler.near(query, closeness, rng) for _ in range(n)])


def _encode_queries(
    encoder: JointEncoder,
    tokenizer: PreTrainedTokenizerBase,
    queries: list[SampledQuery],
    training_images: TrainingImages,
) -> NDArray[np.float32]:
    vectors = np.empty((len(queries), encoder.dim), np.float32)
    composed = [number for number, query in enumerate(queries) if query.row is not None]
    text_only = [number for number, query in enumerate(queries) if query.row is None]
    rows = np.array([query.row for query in queries if query.row is not None])
    texts = [query.text for query in queries]
    vectors[composed] = _encode(encoder, tokenizer, [texts[n] for n in composed], training_images.encoder_images[rows])
    vectors[text_only] = _encode(encoder, tokenizer, [texts[n] for n in text_only], None)
    return vectors


@torch.inference_mode()
def _encode(
    encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, texts: list[str], inputs: NDArray[np.uint8] | None
) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), 256):
        tokens = tokenizer(texts[start : start + 256], return_tensors="pt", padding=True)
        images = None
        if inputs is not None:
            batch = torch.from_numpy(inputs[start : start + 256]).permute(0, 3, 1, 2).float()
            images = encoder.image_tokens(encoder_pixels(batch))
        parts.append(encoder(tokens["input_ids"], tokens["attention_mask"], images).numpy())
    return np.concatenate(parts)
