"""Trains the demo reranker: specimens and the demo encoder in, a folder of Phi-3 Vision's kind out.

Tower and decoder learn apart at first, to see and to compare described candidates; then the
projection learns to say in the decoder's words what the tower sees, and at last they rank
composites together. Lists are always shuffled, so that no place in the image is worth anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from examples.train_demo_models.cells import CELL, COLUMNS, MOST, ROWS, CellCutter
from examples.train_demo_models.fitting import Stage, fit, training_device
from examples.train_demo_models.lists import Lists, ListSampler
from examples.train_demo_models.naming import Naming
from examples.train_demo_models.practice import Practice
from examples.train_demo_models.sampling import Sampler
from examples.train_demo_models.specimens import Specimens
from examples.train_demo_models.vocabulary import reranker_tokenizer
from mmrag.datasets.attributes import COLORS, PATTERNS, PRODUCTS
from mmrag.embedding.visualized_bge.checkpoint import load_checkpoint
from mmrag.vision.config import RankingConfig
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

_SEE = Stage("reranker-see", steps=1800, rate=1.5e-3, matrix_rate=0.015, hold=0.2)
_WORDS = Stage("reranker-words", steps=600, rate=2e-3, matrix_rate=0.02, hold=0.5)
_DESCRIBED = Stage("reranker-described", steps=450, rate=2e-3, matrix_rate=0.02, hold=0.4)
_ALIGN = Stage("reranker-align", steps=300, rate=2e-3, matrix_rate=0.02, hold=0.3)
_RANK = Stage("reranker-rank", steps=1000, rate=2e-3, matrix_rate=0.02, hold=0.3)

_BATCH = 128  # cells to see at once
_LISTS = 32  # lists to rank at once
_WISHES = 8000  # to draw lists for


def train_reranker(
    seen: Specimens, listed: Specimens, encoder: Path, work: Path, folder: Path, *, seed: int = 0
) -> None:
    """Train and write the demo reranker; goes on where an interrupted run stopped.

    Parameters
    ----------
    seen
        What the tower learns to see from.
    listed
        What lists are made of; neither the encoder nor the tower has learnt from it.
    encoder
        Folder of the demo encoder, whose finds are half of the lists.
    work
        Takes the checkpoints.
    folder
        Takes the reranker, as fp16 safetensors.
    """
    network, processor = new_reranker(seed)
    device = training_device()
    naming = Naming(
        4 * network.config.vision_config.hidden_size,
        (len(PRODUCTS) + 1, len(PATTERNS), len(COLORS), MOST + 1),
        weights=(1.0, 1.5, 0.7, 0.7),
    )
    practice = Practice(network, processor, RANKING_CONFIG, naming, listed).to(device)
    seeing = _Seeing(practice, seen)
    fit(_SEE, practice, lambda step: seeing.loss(step, seed), work, parameters=seeing.learnt())

    lists = ListSampler(Sampler(listed), *load_checkpoint(encoder), wishes=_WISHES, seed=seed)
    decoder = [*_named(network.decoder, "decoder"), *_named(network.lm_head, "lm_head")]
    joints = [
        *_named(network.image_embedding.projection, "projection"),
        ("sub_separator", network.image_embedding.sub_separator),
        ("global_separator", network.image_embedding.global_separator),
    ]

    def in_words(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 1, step))
        return practice.in_words(_draw(lists, rng, found=0))

    def described(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 2, step))
        torch.manual_seed(step)
        practise = practice.in_words if rng.random() < 0.2 else practice.described
        return practise(_draw(lists, rng, found=0))

    def on_images(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 3, step))
        loss, figures = practice.on_images(_draw(lists, rng, found=_LISTS // 2), rng)
        # Lists in words alone keep grading a comparison of words.
        words, _ = practice.in_words(lists.draw(rng, found=0, made_up=_LISTS, n=MOST))
        return loss + words, figures

    fit(_WORDS, practice, in_words, work, parameters=decoder)
    fit(_DESCRIBED, practice, described, work, parameters=[*decoder, *joints])
    saying = _Saying(practice, seen)
    fit(_ALIGN, practice, lambda step: saying.loss(step, seed), work, parameters=joints)
    fit(_RANK, practice, on_images, work, parameters=[*decoder, *joints])
    save_vision_model(network.cpu(), processor, folder, ranking_config=RANKING_CONFIG)


def new_reranker(seed: int) -> tuple[Phi3VisionNetwork, Phi3VisionProcessor]:
    """Make a reranker of the demo's size with random weights, and its processor."""
    torch.manual_seed(seed)
    tokenizer = Phi3Tokenizer(reranker_tokenizer())
    config = Phi3VisionConfig(_sizes(tokenizer.backend.get_vocab_size()))
    image_processor = Phi3ImageProcessor(config.crop_size, config.tokens_per_side, num_crops=ROWS * COLUMNS)
    network = Phi3VisionNetwork(config, tokenizer.image_token_id)
    # Words must stay audible beside what the layers add to them: with the usual 0.02 the decoder
    # took five times as long to learn that two words are the same.
    nn.init.normal_(network.decoder.embed_tokens.weight, std=1.0)
    for separator in (network.image_embedding.sub_separator, network.image_embedding.global_separator):
        nn.init.normal_(separator, std=0.5)
    return network, Phi3VisionProcessor(tokenizer, image_processor)


class _Seeing:
    """The tower names what single cells show, and their numbers."""

    def __init__(self, practice: Practice, specimens: Specimens) -> None:
        self.practice, self.specimens = practice, specimens
        self.cells = CellCutter(specimens, practice.cutter.image_processor)

    def learnt(self) -> list[tuple[str, nn.Parameter]]:
        tower = self.practice.network.image_embedding.vision_tower
        return [*_named(tower, "tower"), *_named(self.practice.naming, "naming")]

    def loss(self, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 4, step))
        rows = rng.integers(0, len(self.specimens), _BATCH)
        crops, numbers = self.cells.single(rows, rng)
        shown = self.specimens.shown.part(rows)
        names = np.stack([shown.product, shown.pattern, shown.color, numbers], axis=1)
        device = self.practice.network.device
        with torch.autocast(device.type, torch.bfloat16):
            patches = self.practice.network.image_embedding.crop_features(crops.to(device))
            tokens = patches.flatten(1, 2)  # (batch, grid * grid, c)
            loss, right = self.practice.naming.loss(tokens, torch.from_numpy(names).to(device))
        return loss, dict(zip(("product", "pattern", "colour", "number"), right, strict=True))


class _Saying:
    """The projection turns what the tower sees in a cell into the sum of the words for it."""

    def __init__(self, practice: Practice, specimens: Specimens) -> None:
        self.practice, self.specimens = practice, specimens
        self.cells = CellCutter(specimens, practice.cutter.image_processor)

    def loss(self, step: int, seed: int) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng((seed, 5, step))
        rows = rng.integers(0, len(self.specimens), _BATCH)
        crops, numbers = self.cells.single(rows, rng)
        practice, device = self.practice, self.practice.network.device
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            patches = practice.network.image_embedding.crop_features(crops.to(device)).flatten(1, 2)
            words = practice.sums(self.specimens.shown.part(rows))  # (batch, hidden)
            none = practice.number_words.new_zeros(1, words.shape[1])
            number = torch.cat([none, practice.number_words])[torch.from_numpy(numbers)]
            meant = (words + number)[:, None]  # (batch, 1, hidden)
        said = practice.network.image_embedding.projection(patches.float())
        loss = ((said - meant) ** 2).mean() / meant.var()
        return loss, {}


def _draw(lists: ListSampler, rng: np.random.Generator, *, found: int) -> Lists:
    n = MOST if rng.random() < 0.75 else int(rng.integers(2, MOST))
    return lists.draw(rng, found=found, made_up=_LISTS - found, n=n)


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
