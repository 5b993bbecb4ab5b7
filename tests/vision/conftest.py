"""Two small Phi-3 Vision models: the golden one, and one of other sizes with another vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, processors
from transformers.cache_utils import DynamicCache

from mmrag.vision import RankingConfig
from mmrag.vision.phi3.configuration import Phi3VisionConfig
from mmrag.vision.phi3.image_processing import Phi3ImageProcessor
from mmrag.vision.phi3.model import Phi3Vision
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionProcessor
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "phi3_vision" / "tiny"

SPECIAL = ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>")
SPECIAL += ("<|user|>", "<|image|>")
MERGES = ('▁ "', '" ,', '" :', "▁ {", '{ "', '▁{ "', "▁ [", "} ,", "r e", "re d", "▁ b")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden() -> Phi3Vision:
    """The golden checkpoint, with short answers, so that tests are fast."""
    model = Phi3Vision.from_pretrained(GOLDEN, device="cpu")
    model.ranking_config = RankingConfig(num_crops=1, max_description_tokens=4, max_reason_tokens=6)
    return model


@pytest.fixture(scope="session")
def small_tokenizer() -> Tokenizer:
    """Characters and a few merges, in the manner of the published vocabulary."""
    merges = [tuple(merge.split(" ")) for merge in MERGES]
    characters = [chr(code) for code in range(33, 127)] + ["▁", "é"]
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *characters]
    pieces += [left + right for left, right in merges]
    ids = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    return tokenizer


@pytest.fixture(scope="session")
def small_config(small_tokenizer) -> Phi3VisionConfig:
    """Crops of 96 pixels in 16-pixel patches, no long rope, a context of 1,024."""
    return Phi3VisionConfig(
        {
            "vocab_size": small_tokenizer.get_vocab_size() + 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 1024,
            "rope_scaling": None,
            "vision_config": {
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 96,
                "patch_size": 16,
                "hidden_act": "quick_gelu",
            },
        }
    )


@pytest.fixture(scope="session")
def small_image_processor(small_config) -> Phi3ImageProcessor:
    return Phi3ImageProcessor(
        crop_size=small_config.crop_size, tokens_per_side=small_config.tokens_per_side, num_crops=4
    )


@pytest.fixture
def small(small_tokenizer, small_config, small_image_processor) -> Phi3Vision:
    """Random weights, the same each time."""
    tokenizer = Phi3Tokenizer(small_tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Phi3VisionNetwork(small_config, tokenizer.image_token_id)
        for weights in network.parameters():
            torch.nn.init.normal_(weights, std=0.3)
    return Phi3Vision(
        network.eval(),
        Phi3VisionProcessor(tokenizer, small_image_processor),
        RankingConfig(max_description_tokens=4, max_reason_tokens=6),
    )


@pytest.fixture(scope="session")
def cases() -> dict[str, dict]:
    """The golden cases by name."""
    listed = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))
    return {case["name"]: case for case in listed}


@pytest.fixture(scope="session")
def expected():
    """What the published code gave, see the README beside the file."""
    with np.load(GOLDEN / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def faults(cases, expected):
    """Names of the fields in which a model departs from the published one, case by case."""

    def departures(model: Phi3Vision, name: str) -> list[str]:
        given = cases[name]
        want = {key.removeprefix(f"{name}."): value for key, value in expected.items() if key.startswith(f"{name}.")}
        images = [PIL.Image.open(GOLDEN / file) for file in given["images"]]
        inputs = model.prepare(given["messages"], images, given["num_crops"])
        found = [*_text_faults(model, given, inputs, want), *_image_faults(model, inputs, want)]
        if "input_ids" in found or "pixel_values.shape" in found:
            return found  # nothing behind it can be compared
        return [*found, *_answer_faults(model, inputs, want, expected["vocab_columns"])]

    return departures


def _text_faults(model, given, inputs, want) -> list[str]:
    placeholder = model.processor.tokenizer.image_token_id
    ids = np.where(want["input_ids"] < 0, placeholder, want["input_ids"])
    same = {
        "prompt": model.processor.apply_chat_template(given["messages"]) == given["prompt"],
        "input_ids": np.array_equal(inputs["input_ids"][0], ids),
    }
    return [field for field, holds in same.items() if not holds]


def _image_faults(model, inputs, want) -> list[str]:
    if "pixel_values.shape" not in want:
        return []
    pixels = inputs["pixel_values"]
    if not np.array_equal(pixels.shape, want["pixel_values.shape"]):
        return ["pixel_values.shape"]
    with torch.inference_mode():
        tokens = model.network.image_embedding(pixels, inputs["image_sizes"])
    near = {
        "image_sizes": _near(inputs["image_sizes"], want["image_sizes"], 0),
        "num_img_tokens": len(tokens) == want["num_img_tokens"].sum(),
        "pixel_values": _near(_picked(pixels, want, "pixel_values"), None, 1e-6),
        "image_embeds": len(tokens) == want["image_embeds.stats"][0]
        and _near(_picked(tokens, want, "image_embeds"), None, 1e-4),
    }
    if "pixel_values.global_view" in want:
        near["global_view"] = _near(pixels[0, 0], want["pixel_values.global_view"], 1e-6)
        crops = want["pixel_values.every_4th"]
        near["every_4th"] = _near(pixels[0, : len(crops), :, ::4, ::4], crops, 1e-6)
    return [field for field, holds in near.items() if not holds]


def _answer_faults(model, inputs, want, columns) -> list[str]:
    cache = DynamicCache()
    greedy: list[int] = []
    with torch.inference_mode():
        logits = model.network(**inputs, cache=cache, logits_to_keep=4).logits[0]
        after = logits[-1]
        for _ in want["greedy"]:
            greedy.append(int(after.argmax()))
            after = model.network(torch.tensor([greedy[-1:]]), cache=cache).logits[0, -1]
    top = logits.gather(1, torch.from_numpy(want["logits_top8_ids"]).long())
    near = {
        "logits": _near(logits[:, columns], want["logits"], 1e-4),
        "logits_top8": _near(top, want["logits_top8"], 1e-4),
        "logits_logsumexp": _near(logits.logsumexp(1), want["logits_logsumexp"], 1e-4),
        "greedy": greedy == want["greedy"].tolist(),
    }
    return [field for field, holds in near.items() if not holds]


def _picked(tensor, want, field):
    return tensor.numpy()[tuple(want[f"{field}.index"].T)] - want[f"{field}.sample"]


def _near(found, want, tolerance) -> bool:
    difference = np.asarray(found) - (0 if want is None else want)
    return bool(np.abs(difference).max() <= tolerance)


@pytest.fixture
def mutant(golden_folder) -> Phi3Vision:
    """A golden model of its own, to be broken."""
    return Phi3Vision.from_pretrained(golden_folder, device="cpu")
