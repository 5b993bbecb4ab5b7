"""The tensors of a checkpoint: a file in published names in, a loaded network out, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmrag.embedding.visualized_bge.joint import JointEncoder
from mmrag.errors import CheckpointError

__all__ = ["load_weights", "save_weights"]

# Our prefix -> the published one. What follows a prefix is the same on both sides.
_PUBLISHED = {
    "text.embeddings.": "bge_embeddings.",
    "text.encoder.": "bge_encoder.",
    "tower.": "model_visual.visual.",
    "projection.": "visual_proj.",
}

# Published, and never used to make an embedding: may be there, may be missing.
_UNUSED = re.compile(
    r"bge_embeddings\.(position_ids|token_type_ids)"
    r"|bge_pooler\..+"
    r"|model_visual\.logit_scale"
    r"|model_visual\.visual\.(norm|fc_norm|head)\..+"
    r"|model_visual\.visual\.blocks\.\d+\.attn\.rope\.freqs_(cos|sin)"
)

# Taken from the file when it has them, because they are rounded there; computed when it has not.
_COMPUTABLE = {"tower.rope.freqs_cos", "tower.rope.freqs_sin"}


def load_weights(network: JointEncoder, path: Path) -> None:
    """Fill a network from ``*.safetensors`` or ``*.pth``, every key accounted for.

    Raises
    ------
    CheckpointError
        When the file is damaged, or lacks, adds or resizes a tensor: it names them.
    """
    state = _in_our_names(_read_tensors(path), path)
    _check(state, network.state_dict(), path)
    network.load_state_dict(state, strict=False)


def save_weights(network: JointEncoder, path: Path) -> None:
    """Write a network as fp16 safetensors under the published names."""
    tensors = {
        _published(name): tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
    }
    # Renamed last: whoever finds the file finds a whole one.
    unfinished = path.with_name(path.name + ".part")
    save_file(tensors, unfinished)
    unfinished.replace(path)


def _read_tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file fails in as many ways as there are parsers
        raise CheckpointError(
            f"{path} cannot be read as weights ({error}): it is damaged or something else; delete it and fetch it again"
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in cast(Mapping[str, object], content).values()
    ):
        raise CheckpointError(f"{path} holds no plain state dict: take the published file")
    return cast(Mapping[str, Tensor], content)


def _in_our_names(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    used = {name: tensor for name, tensor in tensors.items() if not _UNUSED.fullmatch(name)}
    ours = {
        theirs + name.removeprefix(published): tensor
        for name, tensor in used.items()
        for theirs, published in _PUBLISHED.items()
        if name.startswith(published)
    }
    if len(ours) < len(used):
        strangers = [name for name in used if not name.startswith(tuple(_PUBLISHED.values()))]
        raise CheckpointError(f"{path} {_keys('holds', strangers)} that no Visualized BGE has")
    return ours


def _published(name: str) -> str:
    for ours, published in _PUBLISHED.items():
        if name.startswith(ours):
            return published + name.removeprefix(ours)
    raise AssertionError(f"{name} is missing from the table of names")


def _check(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    faults: list[str] = []
    if missing := wanted.keys() - found.keys() - _COMPUTABLE:
        faults.append(_keys("lacks", map(_published, missing)))
    if unknown := found.keys() - wanted.keys():
        faults.append(_keys("holds unknown", map(_published, unknown)))
    for name in found.keys() & wanted.keys():
        if found[name].shape != wanted[name].shape:
            faults.append(
                f"holds {_published(name)} as {tuple(found[name].shape)}, "
                f"the configuration says {tuple(wanted[name].shape)}"
            )
    if faults:
        raise CheckpointError(
            f"{path} belongs to another model or variant: it {'; it '.join(sorted(faults)[:5])}. "
            "Take weights, text/ and vision_config.json of the same variant"
        )


def _keys(verb: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return f"{verb} {', '.join(listed[:5])}{more}"
