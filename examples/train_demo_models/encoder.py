"""Training of the demo encoder: the vision tower on attributes, then both towers contrastively."""

from __future__ import annotations

import logging
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, PreTrainedTokenizerBase

from examples.train_demo_models.attribute_head import AttributeHead
from examples.train_demo_models.augment import encoder_pixels, jittered
from examples.train_demo_models.sampling import SampledQuery, Sampler, grades
from examples.train_demo_models.training_images import ENCODER_SIZE, TrainingImages
from examples.train_demo_models.training_loop import Stage, fit, training_device
from examples.train_demo_models.vocabulary import encoder_tokenizer, vocabulary
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS
from mmrag.embedding.visualized_bge.checkpoint import save_checkpoint
from mmrag.embedding.visualized_bge.modeling import JointEncoder, VisionConfig

__all__ = ["new_encoder", "train_encoder"]

logger = logging.getLogger(__name__)

# Small on purpose: a cheap first stage that finds, and leaves the order to the reranker's better
# encoder_images. At width 128 and six times the steps it reached recall@1 .965, and nothing was left to do.
_WIDTH, _LAYERS, _HEAD = 48, 2, 16
_LONGEST = 64  # positions: 16 for the image, 48 for words
_PRETRAIN_VISION = Stage("encoder-see", steps=400, rate=2e-3, matrix_rate=0.02)
_CONTRASTIVE = Stage("encoder-match", steps=600, rate=1.5e-3, matrix_rate=0.01)
_BATCH = 192  # images to see at once
_QUERIES = 128  # queries to match at once
_NAMES = (len(PRODUCTS) + 1, len(PATTERNS), len(COLORS))
_SHIFT = 3  # pixels
_HALF_RIGHT = 0.04  # share of a label's weight that a nearly right image gets


def train_encoder(training_images: TrainingImages, work: Path, folder: Path, *, seed: int = 0) -> None:
    """Train and write the demo encoder; goes on where an interrupted run stopped.

    Parameters
    ----------
    training_images
        What to learn from.
    work
        Takes the checkpoints.
    folder
        Takes the encoder, as fp16 safetensors.
    """
    network, tokenizer = new_encoder(seed)
    device = training_device()
    network.to(device)
    vision_pretraining = _VisionPretraining(network)
    fit(
        _PRETRAIN_VISION,
        vision_pretraining.to(device),
        lambda step: vision_pretraining.loss(training_images, step, seed),
        work,
    )
    matching = _ContrastiveTraining(network, tokenizer)
    sampler = Sampler(training_images)
    fit(_CONTRASTIVE, matching.to(device), lambda step: matching.loss(sampler, step, seed), work)
    save_checkpoint(network.cpu(), tokenizer, folder)


def new_encoder(seed: int) -> tuple[JointEncoder, PreTrainedTokenizerBase]:
    """Make an encoder of the demo's size with random weights, and its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = encoder_tokenizer(vocabulary(), longest=_LONGEST)
    text = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_WIDTH // _HEAD,
        intermediate_size=4 * _WIDTH,
        max_position_embeddings=_LONGEST,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    vision = VisionConfig(
        image_size=ENCODER_SIZE,
        patch_size=16,
        width=_WIDTH,
        layers=_LAYERS,
        head_width=_HEAD,
        pt_hw_seq_len=ENCODER_SIZE // 16,
    )
    return JointEncoder(text, vision), tokenizer


class _VisionPretraining(nn.Module):
    """The tower, and a head that names what its tokens show."""

    def __init__(self, network: JointEncoder) -> None:
        super().__init__()
        self.tower = network.tower
        self.attribute_head = AttributeHead(network.vision_config.width, _NAMES, weights=(1.0, 1.5, 0.7))

    def loss(self, training_images: TrainingImages, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, step))
        rows = rng.integers(0, len(training_images), _BATCH)
        shown = training_images.attributes.select(rows)
        device = self.tower.cls_token.device
        names = np.stack([shown.product, shown.pattern, shown.color], axis=1)
        encoder_images = jittered(training_images.encoder_images[rows], rng, shift=_SHIFT)
        with torch.autocast(device.type, torch.bfloat16):
            tokens = self.tower(encoder_pixels(encoder_images).to(device))  # (batch, tokens, width)
            loss, right = self.attribute_head.loss(tokens, torch.from_numpy(names).to(device))
        return loss, dict(zip(("product", "pattern", "color"), right, strict=True))


class _ContrastiveTraining(nn.Module):
    """The whole encoder and the temperature of its similarities."""

    def __init__(self, network: JointEncoder, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def loss(self, sampler: Sampler, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = Random(f"match {seed} {step}")
        queries, targets = _queries_and_targets(sampler, rng)
        training_images = sampler.training_images
        jitter_rng = np.random.default_rng((seed, step))
        device = self.log_scale.device
        # Queries with an image first: the two kinds go through the encoder apart.
        queries.sort(key=lambda query: query.row is None)
        rows = np.array([query.row for query in queries if query.row is not None])
        with torch.autocast(device.type, torch.bfloat16):
            shown = encoder_pixels(jittered(training_images.encoder_images[targets], jitter_rng, shift=_SHIFT)).to(
                device
            )
            target_vectors = self._encode([""] * len(targets), shown)  # (targets, dim)
            query_pixels = encoder_pixels(jittered(training_images.encoder_images[rows], jitter_rng, shift=_SHIFT)).to(
                device
            )
            texts = [_drop_words(query.text, rng) for query in queries]
            query_vectors = torch.cat(
                [self._encode(texts[: len(rows)], query_pixels), self._encode(texts[len(rows) :], None)]
            )  # (queries, dim)
        scale = self.log_scale.clamp(0.0, 4.0).exp()
        similar = scale * query_vectors.float() @ target_vectors.float().T  # (queries, targets)
        loss = (
            -(
                _weights(queries, targets, training_images).to(device)
                * F.log_softmax(similar.masked_fill(_own_image(queries, targets).to(device), -1e4), 1)
            )
            .sum(1)
            .mean()
        )
        return loss, {"scale": scale.item()}

    def _encode(self, texts: list[str], pixels: Tensor | None) -> Tensor:
        tokens = self.tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=_LONGEST - self.network.vision_config.tokens,
        )
        tokens = tokens.to(self.log_scale.device)
        ids, mask = tokens["input_ids"], tokens["attention_mask"]
        seen = None if pixels is None else self.network.image_tokens(pixels.to(ids.device))
        return self.network(ids, mask, seen)


def _queries_and_targets(sampler: Sampler, rng: Random) -> tuple[list[SampledQuery], NDArray[np.int64]]:
    """Draw queries, images that fulfil them, and images that do so only half: hard negatives."""
    queries = [sampler.sample_query(rng) for _ in range(_QUERIES)]
    targets = {sampler.exact_match(query, rng) for query in queries}
    targets |= {sampler.partial_match(query, rng) for query in queries[::2]}
    return queries, np.array(sorted(targets))


def _weights(queries: list[SampledQuery], targets: NDArray[np.int64], training_images: TrainingImages) -> Tensor:
    """How much of each query every target fulfils; rows sum to 1."""
    shown = training_images.attributes.select(targets)
    grade = np.stack([grades(query, shown) for query in queries])  # (queries, targets)
    weight = (grade == 3) + _HALF_RIGHT * (grade == 2)
    weight = np.where(_own_image(queries, targets).numpy(), 0.0, weight)
    return torch.from_numpy(weight / weight.sum(1, keepdims=True)).float()


def _own_image(queries: list[SampledQuery], targets: NDArray[np.int64]) -> Tensor:
    """Where a target is the query's own image: it is no answer."""
    rows = np.array([-1 if query.row is None else query.row for query in queries])
    return torch.from_numpy(rows[:, None] == targets[None])


def _drop_words(text: str, rng: Random) -> str:
    """Replace a word now and then by one outside the vocabulary: users know more words than we."""
    return " ".join("[UNK]" if rng.random() < 0.03 else word for word in text.split())
