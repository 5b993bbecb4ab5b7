"""Checkpoints of Visualized BGE in the published layout."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, PreTrainedTokenizerBase, XLMRobertaConfig

from mmrag.embedding.hub import PRETRAINED_MODELS
from mmrag.embedding.visualized_bge.modeling import JointEncoder, TextConfig, VisionConfig
from mmrag.errors import CheckpointError

__all__ = ["load_checkpoint", "load_network", "read_vision_config", "save_checkpoint"]

_FAMILIES: dict[str, type[TextConfig]] = {"bert": BertConfig, "xlm-roberta": XLMRobertaConfig}

# Our prefix -> the published one; the rest of the name is the same.
_PREFIXES = {
    "text.embeddings.": "bge_embeddings.",
    "text.encoder.": "bge_encoder.",
    "tower.": "model_visual.visual.",
    "projection.": "visual_proj.",
}

# Published but unused by the embedding: allowed, not required.
_UNUSED = re.compile(
    r"bge_embeddings\.(position_ids|token_type_ids)"
    r"|bge_pooler\..+"
    r"|model_visual\.logit_scale"
    r"|model_visual\.visual\.(norm|fc_norm|head)\..+"
    r"|model_visual\.visual\.blocks\.\d+\.attn\.rope\.freqs_(cos|sin)"
)

# Taken from the file if present, because they are rounded there; computed otherwise.
_COMPUTABLE = {"model_visual.visual.rope.freqs_cos", "model_visual.visual.rope.freqs_sin"}


def load_checkpoint(folder: str | Path) -> tuple[JointEncoder, PreTrainedTokenizerBase]:
    """Load network and tokenizer from a folder: float32, on the CPU, in eval mode; raise `CheckpointError` if damaged.

    The folder holds one ``*.pth`` or ``*.safetensors``, ``text/`` with config and tokenizer of the text model, and
    ``vision_config.json``, the sizes of the tower; it may be missing beside weights under their published name.
    """
    folder = Path(folder)
    weights, sizes = _find_weights(folder), folder / "vision_config.json"
    published = {model.weights_file: model.vision_config for model in PRETRAINED_MODELS.values()}
    known = None if sizes.exists() else published.get(weights.name)
    return load_network(weights, folder / "text", known or read_vision_config(sizes))


def load_network(weights: Path, text: Path, vision: VisionConfig) -> tuple[JointEncoder, PreTrainedTokenizerBase]:
    """Load network and tokenizer from separate files, as they lie after a download."""
    network = JointEncoder(_read_text_config(text / "config.json"), vision)
    tokenizer = _read_tokenizer(text)
    if len(tokenizer) > network.text_config.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {text} has {len(tokenizer)} words, config.json beside it says "
            f"{network.text_config.vocab_size}: take both from the same text model"
        )
    expected = _published_tensors(network)
    found = {name: tensor for name, tensor in _read_tensors(weights).items() if not _UNUSED.fullmatch(name)}
    _check_tensors(found, expected, weights)
    for name, tensor in found.items():
        expected[name].copy_(tensor)
    return network.eval(), tokenizer


def save_checkpoint(encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Save an encoder as fp16 safetensors in the published layout, replacing files of the same names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder.text_config.save_pretrained(folder / "text")
    tokenizer.save_pretrained(folder / "text")
    vision = {"vision_cfg": dataclasses.asdict(encoder.vision_config)}
    (folder / "vision_config.json").write_text(json.dumps(vision, indent=1) + "\n")
    tensors = {
        name: tensor.to("cpu", torch.float16).contiguous() for name, tensor in _published_tensors(encoder).items()
    }
    # Renamed last, so that the file is complete as soon as it exists.
    unfinished = folder / "model.safetensors.part"
    save_file(tensors, unfinished)
    unfinished.replace(folder / "model.safetensors")


def read_vision_config(path: Path) -> VisionConfig:
    """Read the sizes of the vision tower from a published ``vision_config.json``."""
    content = _read_json(path)
    sizes = content.get("vision_cfg", content)
    for flag in ("rope", "naiveswiglu", "subln"):
        if not sizes.get(flag, True):
            raise CheckpointError(
                f"{path} asks for a tower without {flag!r}, which no Visualized BGE has: "
                "take the vision_config.json that belongs to the weights"
            )
    known = {field.name for field in dataclasses.fields(VisionConfig)}
    try:
        return VisionConfig(**{name: value for name, value in sizes.items() if name in known})
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a tower: {error}") from error


def _read_text_config(path: Path) -> TextConfig:
    content = _read_json(path)
    family = _FAMILIES.get(content.get("model_type", ""))
    if family is None:
        raise CheckpointError(
            f"{path} describes a {content.get('model_type')!r} text model; Visualized BGE is made "
            f"of {' or '.join(_FAMILIES)}: take the config.json that belongs to the weights"
        )
    return family.from_dict(content)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}): an encoder's folder holds one *.safetensors or "
            "*.pth, text/ and vision_config.json"
        ) from error


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        (folder / "tokenizer.json").stat()  # else transformers creates an empty one
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="right")
    except Exception as error:  # the tokenizer's parser raises many types
        raise CheckpointError(
            f"no tokenizer can be read from {folder} ({error}): it holds config.json, "
            "tokenizer.json and tokenizer_config.json of the text model"
        ) from error


def _find_weights(folder: Path) -> Path:
    found = sorted([*folder.glob("*.safetensors"), *folder.glob("*.pth")])
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(
            f"{folder} must hold exactly one *.safetensors or *.pth, it holds {names}: leave only the file to load"
        )
    return found[0]


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged files raise many types
        raise CheckpointError(
            f"{path} cannot be read as weights ({error}): it is damaged or something else; delete it and fetch it again"
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no plain state dict: take the published file")
    return content


def _published_tensors(network: JointEncoder) -> dict[str, Tensor]:
    """Name the network's tensors, not copied, as in published files."""
    return {
        published + name.removeprefix(prefix): tensor
        for name, tensor in network.state_dict().items()
        for prefix, published in _PREFIXES.items()
        if name.startswith(prefix)
    }


def _check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    errors: list[str] = []
    if missing := expected.keys() - found.keys() - _COMPUTABLE:
        errors.append(_list_keys("lacks", missing))
    if unknown := found.keys() - expected.keys():
        errors.append(_list_keys("holds unknown", unknown))
    errors += [
        f"holds {name} as {tuple(found[name].shape)}, the configuration says {tuple(expected[name].shape)}"
        for name in found.keys() & expected.keys()
        if found[name].shape != expected[name].shape
    ]
    if errors:
        raise CheckpointError(
            f"{path} belongs to another model or variant: it {'; it '.join(sorted(errors)[:5])}. "
            "Take weights, text/ and vision_config.json of the same variant"
        )


def _list_keys(verb: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return f"{verb} {', '.join(listed[:5])}{more}"
