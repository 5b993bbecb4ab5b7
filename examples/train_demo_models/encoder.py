"""Trains the demo encoder: specimens in, a folder in the published layout of Visualized BGE out.

First the tower learns to see (product, pattern and color from every token), then tower and text
model together learn to match: a wish must find the images that fulfil it.
"""

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

from examples.train_demo_models.augment import encoder_pixels, jittered
from examples.train_demo_models.fitting import Stage, fit, training_device
from examples.train_demo_models.naming import Naming
from examples.train_demo_models.sampling import Sampler, Wanted, grades
from examples.train_demo_models.specimens import EYE, Specimens
from examples.train_demo_models.vocabulary import encoder_tokenizer
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS
from mmrag.datasets.wording import vocabulary
from mmrag.embedding.visualized_bge.checkpoint import save_checkpoint
from mmrag.embedding.visualized_bge.modeling import JointEncoder, VisionConfig

__all__ = ["new_encoder", "train_encoder"]

logger = logging.getLogger(__name__)

# Small on purpose: a cheap first stage that finds, and leaves the order to the reranker's better
# eyes. At width 128 and six times the steps it reached recall@1 .965, and nothing was left to do.
_WIDTH, _LAYERS, _HEAD = 48, 2, 16
_LONGEST = 64  # positions: 16 for the image, 48 for words
_SEE = Stage("encoder-see", steps=400, rate=2e-3, matrix_rate=0.02)
_MATCH = Stage("encoder-match", steps=600, rate=1.5e-3, matrix_rate=0.01)
_BATCH = 192  # images to see at once
_WISHES = 128  # wishes to match at once
_NAMES = (len(PRODUCTS) + 1, len(PATTERNS), len(COLORS))
_SHIFT = 3  # pixels
_HALF_RIGHT = 0.04  # share of a label's weight that a nearly right image gets


def train_encoder(specimens: Specimens, work: Path, folder: Path, *, seed: int = 0) -> None:
    """Train and write the demo encoder; goes on where an interrupted run stopped.

    Parameters
    ----------
    specimens
        What to learn from.
    work
        Takes the checkpoints.
    folder
        Takes the encoder, as fp16 safetensors.
    """
    network, tokenizer = new_encoder(seed)
    device = training_device()
    network.to(device)
    seeing = _Seeing(network)
    fit(_SEE, seeing.to(device), lambda step: seeing.loss(specimens, step, seed), work)
    matching = _Matching(network, tokenizer)
    sampler = Sampler(specimens)
    fit(_MATCH, matching.to(device), lambda step: matching.loss(sampler, step, seed), work)
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
        image_size=EYE, patch_size=16, width=_WIDTH, layers=_LAYERS, head_width=_HEAD, pt_hw_seq_len=EYE // 16
    )
    return JointEncoder(text, vision), tokenizer


class _Seeing(nn.Module):
    """The tower, and a head that names what its tokens show."""

    def __init__(self, network: JointEncoder) -> None:
        super().__init__()
        self.tower = network.tower
        self.naming = Naming(network.vision_config.width, _NAMES, weights=(1.0, 1.5, 0.7))

    def loss(self, specimens: Specimens, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, step))
        rows = rng.integers(0, len(specimens), _BATCH)
        shown = specimens.shown.part(rows)
        device = self.tower.cls_token.device
        names = np.stack([shown.product, shown.pattern, shown.color], axis=1)
        eyes = jittered(specimens.eyes[rows], rng, shift=_SHIFT)
        with torch.autocast(device.type, torch.bfloat16):
            tokens = self.tower(encoder_pixels(eyes).to(device))  # (batch, tokens, width)
            loss, right = self.naming.loss(tokens, torch.from_numpy(names).to(device))
        return loss, dict(zip(("product", "pattern", "colour"), right, strict=True))


class _Matching(nn.Module):
    """The whole encoder and the temperature of its similarities."""

    def __init__(self, network: JointEncoder, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.network = network
        self.tokenizer = tokenizer
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def loss(self, sampler: Sampler, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = Random(f"match {seed} {step}")
        wanted, targets = _wishes_and_targets(sampler, rng)
        specimens = sampler.specimens
        shaken = np.random.default_rng((seed, step))
        device = self.log_scale.device
        # Wishes with an image first: the two kinds go through the encoder apart.
        wanted.sort(key=lambda wish: wish.row is None)
        rows = np.array([wish.row for wish in wanted if wish.row is not None])
        with torch.autocast(device.type, torch.bfloat16):
            shown = encoder_pixels(jittered(specimens.eyes[targets], shaken, shift=_SHIFT)).to(device)
            found = self._encode([""] * len(targets), shown)  # (targets, dim)
            asked = encoder_pixels(jittered(specimens.eyes[rows], shaken, shift=_SHIFT)).to(device)
            texts = [_forgetful(wish.text, rng) for wish in wanted]
            queries = torch.cat(
                [self._encode(texts[: len(rows)], asked), self._encode(texts[len(rows) :], None)]
            )  # (wishes, dim)
        scale = self.log_scale.clamp(0.0, 4.0).exp()
        similar = scale * queries.float() @ found.float().T  # (wishes, targets)
        loss = (
            -(
                _weights(wanted, targets, specimens).to(device)
                * F.log_softmax(similar.masked_fill(_itself(wanted, targets).to(device), -1e4), 1)
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


def _wishes_and_targets(sampler: Sampler, rng: Random) -> tuple[list[Wanted], NDArray[np.int64]]:
    """Draw wishes, images that fulfil them, and images that do so only half: hard negatives."""
    wanted = [sampler.wanted(rng) for _ in range(_WISHES)]
    targets = {sampler.fulfilling(wish, rng) for wish in wanted}
    targets |= {sampler.half_fulfilling(wish, rng) for wish in wanted[::2]}
    return wanted, np.array(sorted(targets))


def _weights(wanted: list[Wanted], targets: NDArray[np.int64], specimens: Specimens) -> Tensor:
    """How much of each wish every target fulfils; rows sum to 1."""
    shown = specimens.shown.part(targets)
    grade = np.stack([grades(wish, shown) for wish in wanted])  # (wishes, targets)
    weight = (grade == 3) + _HALF_RIGHT * (grade == 2)
    weight = np.where(_itself(wanted, targets).numpy(), 0.0, weight)
    return torch.from_numpy(weight / weight.sum(1, keepdims=True)).float()


def _itself(wanted: list[Wanted], targets: NDArray[np.int64]) -> Tensor:
    """Where a target is the wish's own image: it is no answer."""
    rows = np.array([-1 if wish.row is None else wish.row for wish in wanted])
    return torch.from_numpy(rows[:, None] == targets[None])


def _forgetful(text: str, rng: Random) -> str:
    """Replace a word now and then by one outside the vocabulary: users know more words than we."""
    return " ".join("[UNK]" if rng.random() < 0.03 else word for word in text.split())
