"""Sizes of Phi-3 Vision. In: a published `config.json`. Out: what transformers' classes take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import CLIPVisionConfig, Phi3Config

from mmrag.errors import CheckpointError
from mmrag.vision.phi3.files import read_object

__all__ = ["CONFIG_FILE", "Phi3VisionConfig"]

CONFIG_FILE = "config.json"

# The published file names no sizes of its tower; the published code has them fixed.
_VIT_L_14_336 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "attention_dropout": 0.0,
}


# fields that mean the same in the published file and in transformers' own Phi3Config
_SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "original_max_position_embeddings",
    "rms_norm_eps",
    "initializer_range",
)


@dataclass(frozen=True)
class Phi3VisionConfig:
    """A published `config.json`, read for the two halves of the network.

    Attributes
    ----------
    published
        The file as it is; `vision_config` in it holds the tower's sizes, ViT-L/14-336 without.
    """

    published: Mapping[str, Any]

    def __post_init__(self) -> None:
        try:
            whole = self.crop % (2 * self.patch) == 0
            _ = self.language, self.tower
        except CheckpointError:
            raise
        except Exception as error:  # transformers checks sizes by classes of its own
            raise CheckpointError(
                f"{CONFIG_FILE} is no configuration of Phi-3 Vision ({error}): fetch the checkpoint again"
            ) from error
        if not whole:
            raise CheckpointError(
                f"crops of {self.crop} pixels cannot be cut into pairs of "
                f"{self.patch}-pixel patches: mend vision_config in {CONFIG_FILE}"
            )

    @classmethod
    def of_folder(cls, folder: Path) -> Phi3VisionConfig:
        """Read `config.json` of a checkpoint's folder."""
        return cls(read_object(folder / CONFIG_FILE))

    @cached_property
    def language(self) -> Phi3Config:
        """Return the decoder's sizes, in the words of today's transformers."""
        given = self.published
        sizes = {name: given[name] for name in _SHARED if name in given} | {
            "rope_parameters": _rope(given),
            # the published window is the whole context: none
            "sliding_window": None,
            # special ids are the tokenizer's business; the published ones may not exist here
            "pad_token_id": None,
            "bos_token_id": None,
            "eos_token_id": None,
        }
        return Phi3Config.from_dict(sizes, attn_implementation="sdpa")

    @cached_property
    def tower(self) -> CLIPVisionConfig:
        """Return the vision tower's sizes, its unused last layer included."""
        return CLIPVisionConfig.from_dict(self._tower_sizes)

    @property
    def crop(self) -> int:
        """Side of a crop in pixels."""
        return int(self._tower_sizes["image_size"])

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self._tower_sizes["patch_size"])

    @property
    def grid(self) -> int:
        """Side of a crop in tokens: its patches, merged two by two."""
        return self.crop // self.patch // 2

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        return int(self.language.max_position_embeddings)

    @property
    def short_context(self) -> int:
        """Most tokens for which the short rope factors hold; past them the long ones do."""
        rope = self.language.rope_parameters or {}
        return int(rope.get("original_max_position_embeddings") or self.context)

    @property
    def _tower_sizes(self) -> dict[str, Any]:
        return dict(self.published.get("vision_config") or _VIT_L_14_336)


def _rope(given: Mapping[str, Any]) -> dict[str, Any]:
    # "su" is what transformers calls longrope; its own reading of the old name fails on 5.x
    scaling = given.get("rope_scaling")
    rope = {"rope_theta": given.get("rope_theta", 10_000.0), "partial_rotary_factor": 1.0}
    if not scaling:
        return {"rope_type": "default", **rope}
    if scaling.get("type", scaling.get("rope_type")) not in ("su", "longrope"):
        raise CheckpointError(f"rope_scaling {scaling.get('type')!r} is not Phi-3 Vision's: it is 'su' or null")
    original = given["original_max_position_embeddings"]
    return {
        "rope_type": "longrope",
        **rope,
        "factor": given["max_position_embeddings"] / original,
        "short_factor": list(scaling["short_factor"]),
        "long_factor": list(scaling["long_factor"]),
        "original_max_position_embeddings": original,
    }
