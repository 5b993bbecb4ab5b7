"""Training of the demo reranker in five stages.

Tower and decoder are pretrained apart, to recognize cells and to compare described candidates; then the projection is
aligned with the decoder's words, and at last decoder and projection are finetuned on composites. Candidates are always
shuffled, so that a position is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from examples.train_demo_models.attribute_head import AttributeHead
from examples.train_demo_models.composites import CELL, COLUMNS, MOST, ROWS, CompositeBuilder
from examples.train_demo_models.ranking_batches import BatchSampler, RankingBatch
from examples.train_demo_models.ranking_objective import RankingObjective
from examples.train_demo_models.sampling import Sampler
from examples.train_demo_models.training_images import TrainingImages
from examples.train_demo_models.training_loop import Stage, fit, training_device
from examples.train_demo_models.vocabulary import reranker_tokenizer
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS
from mmrag.embedding.visualized_bge.checkpoint import load_checkpoint
from mmrag.vision import RankingConfig
from mmrag.vision.phi3.checkpoint import save_vision_model
from mmrag.vision.phi3.configuration import Phi3VisionConfig
from mmrag.vision.phi3.image_processing import Phi3ImageProcessor
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionProcessor
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

__all__ = ["RANKING_CONFIG", "new_reranker", "train_reranker"]

RANKING_CONFIG = RankingConfig(
    method="grades",
    describe=True,
    prompt="{query}",
    cell=CELL,
    columns=COLUMNS,
    max_description_tokens=4,
    max_reason_tokens=12,
)
"""Ranking settings of the demo reranker: its prompt is the query alone, because it knows no words of instructions."""

_PRETRAIN_VISION = Stage("reranker-see", steps=1800, rate=1.5e-3, matrix_rate=0.015, hold=0.2)
_PRETRAIN_TEXT = Stage("reranker-words", steps=600, rate=2e-3, matrix_rate=0.02, hold=0.5)
_PRETRAIN_DESCRIPTIONS = Stage("reranker-described", steps=450, rate=2e-3, matrix_rate=0.02, hold=0.4)
_ALIGN_PROJECTION = Stage("reranker-align", steps=300, rate=2e-3, matrix_rate=0.02, hold=0.3)
_FINETUNE_RANKING = Stage("reranker-rank", steps=1000, rate=2e-3, matrix_rate=0.02, hold=0.3)

_BATCH = 128  # cells to see at once
_LISTS = 32  # lists to rank at once
_QUERIES = 8000  # to draw lists for


def train_reranker(
    seen: TrainingImages, listed: TrainingImages, encoder: Path, work: Path, folder: Path, *, seed: int = 0
) -> None:
    """Train and write the demo reranker; goes on where an interrupted run stopped.

    Parameters
    ----------
    seen
        What the tower learns to see from.
    listed
        Images of the lists, which neither the encoder nor the tower was trained on.
    encoder
        Folder of the demo encoder, whose finds are half of the lists.
    work
        Takes the checkpoints.
    folder
        Takes the reranker, as fp16 safetensors.
    """
    network, processor = new_reranker(seed)
    device = training_device()
    attribute_head = AttributeHead(
        4 * network.config.vision_config.hidden_size,
        (len(PRODUCTS) + 1, len(PATTERNS), len(COLORS), MOST + 1),
        weights=(1.0, 1.5, 0.7, 0.7),
    )
    objective = RankingObjective(network, processor, RANKING_CONFIG, attribute_head, listed).to(device)
    vision_pretraining = _VisionPretraining(objective, seen)
    fit(
        _PRETRAIN_VISION,
        objective,
        lambda step: vision_pretraining.loss(step, seed),
        work,
        parameters=vision_pretraining.parameters(),
    )

    lists = BatchSampler(Sampler(listed), *load_checkpoint(encoder), n_queries=_QUERIES, seed=seed)
    decoder = [*_named(network.decoder, "decoder"), *_named(network.lm_head, "lm_head")]
    connector = [
        *_named(network.image_embedding.projection, "projection"),
        ("sub_separator", network.image_embedding.sub_separator),
        ("global_separator", network.image_embedding.global_separator),
    ]

    def text_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 1, step))
        return objective.text_loss(_draw(lists, rng, retrieved=0))

    def description_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 2, step))
        torch.manual_seed(step)
        loss_of = objective.text_loss if rng.random() < 0.2 else objective.description_loss
        return loss_of(_draw(lists, rng, retrieved=0))

    def image_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 3, step))
        loss, figures = objective.image_loss(_draw(lists, rng, retrieved=_LISTS // 2), rng)
        # RankingBatch in words alone keep grading a comparison of words.
        words, _ = objective.text_loss(lists.sample(rng, retrieved=0, near=_LISTS, n=MOST))
        return loss + words, figures

    fit(_PRETRAIN_TEXT, objective, text_loss, work, parameters=decoder)
    fit(_PRETRAIN_DESCRIPTIONS, objective, description_loss, work, parameters=[*decoder, *connector])
    alignment = _ProjectionAlignment(objective, seen)
    fit(_ALIGN_PROJECTION, objective, lambda step: alignment.loss(step, seed), work, parameters=connector)
    fit(_FINETUNE_RANKING, objective, image_loss, work, parameters=[*decoder, *connector])
    save_vision_model(network.cpu(), processor, folder, ranking_config=RANKING_CONFIG)


def new_reranker(seed: int) -> tuple[Phi3VisionNetwork, Phi3VisionProcessor]:
    """Make a reranker of the demo's size with random weights, and its processor."""
    torch.manual_seed(seed)
    tokenizer = Phi3Tokenizer(reranker_tokenizer())
    config = Phi3VisionConfig(_sizes(tokenizer.backend.get_vocab_size()))
    image_processor = Phi3ImageProcessor(config.crop_size, config.tokens_per_side, num_crops=ROWS * COLUMNS)
    network = Phi3VisionNetwork(config, tokenizer.image_token_id)
    # Embeddings must not be drowned by what the layers add to them: with the usual 0.02 the decoder
    # took five times as long to learn that two words are the same.
    nn.init.normal_(network.decoder.embed_tokens.weight, std=1.0)
    for separator in (network.image_embedding.sub_separator, network.image_embedding.global_separator):
        nn.init.normal_(separator, std=0.5)
    return network, Phi3VisionProcessor(tokenizer, image_processor)


class _VisionPretraining:
    """The tower names what single cells show, and their numbers."""

    def __init__(self, objective: RankingObjective, training_images: TrainingImages) -> None:
        self.objective, self.training_images = objective, training_images
        self.cells = CompositeBuilder(training_images, objective.cutter.image_processor)

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        tower = self.objective.network.image_embedding.vision_tower
        return [*_named(tower, "tower"), *_named(self.objective.attribute_head, "attribute_head")]

    def loss(self, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 4, step))
        rows = rng.integers(0, len(self.training_images), _BATCH)
        crops, numbers = self.cells.single(rows, rng)
        shown = self.training_images.attributes.select(rows)
        names = np.stack([shown.product, shown.pattern, shown.color, numbers], axis=1)
        device = self.objective.network.device
        with torch.autocast(device.type, torch.bfloat16):
            patches = self.objective.network.image_embedding.crop_features(crops.to(device))
            tokens = patches.flatten(1, 2)  # (batch, grid * grid, c)
            loss, right = self.objective.attribute_head.loss(tokens, torch.from_numpy(names).to(device))
        return loss, dict(zip(("product", "pattern", "color", "number"), right, strict=True))


class _ProjectionAlignment:
    """The projection turns what the tower sees in a cell into the sum of the words for it."""

    def __init__(self, objective: RankingObjective, training_images: TrainingImages) -> None:
        self.objective, self.training_images = objective, training_images
        self.cells = CompositeBuilder(training_images, objective.cutter.image_processor)

    def loss(self, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 5, step))
        rows = rng.integers(0, len(self.training_images), _BATCH)
        crops, numbers = self.cells.single(rows, rng)
        objective, device = self.objective, self.objective.network.device
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            patches = objective.network.image_embedding.crop_features(crops.to(device)).flatten(1, 2)
            words = objective.sums(self.training_images.attributes.select(rows))  # (batch, hidden)
            none = objective.number_words.new_zeros(1, words.shape[1])
            number = torch.cat([none, objective.number_words])[torch.from_numpy(numbers)]
            meant = (words + number)[:, None]  # (batch, 1, hidden)
        projected = objective.network.image_embedding.projection(patches.float())
        loss = ((projected - meant) ** 2).mean() / meant.var()
        return loss, {}


def _draw(lists: BatchSampler, rng: np.random.Generator, *, retrieved: int) -> RankingBatch:
    n = MOST if rng.random() < 0.75 else int(rng.integers(2, MOST))
    return lists.sample(rng, retrieved=retrieved, near=_LISTS - retrieved, n=n)


def _named(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Parameter]]:
    return ((f"{prefix}.{name}", parameter) for name, parameter in module.named_parameters())


def _sizes(vocabulary: int) -> dict[str, object]:
    """Write the demo's `config.json` in the fields of the published one."""
    return {
        "architectures": ["Phi3VForCausalLM"],
        "model_type": "phi3_v",
        "vocab_size": vocabulary,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 1024,
        "original_max_position_embeddings": 1024,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "img_processor": {"image_dim_out": 192, "name": "clip_vision_model", "num_img_tokens": 9},
        "embd_layer": {
            "embedding_cls": "image",
            "hd_transform_order": "sub_glb",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 5,  # of which the last is never needed, as in the published one
            "num_attention_heads": 6,
            "num_channels": 3,
            "image_size": CELL,
            "patch_size": 16,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
            "attention_dropout": 0.0,
        },
    }
