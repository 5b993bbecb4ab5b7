"""Configuration of Phi-3 Vision: a published `config.json` as configs of transformers' classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from transformers import CLIPVisionConfig, Phi3Config

from mmrag.errors import CheckpointError
from mmrag.vision.base import read_json_object

__all__ = ["CONFIG_FILE", "Phi3VisionConfig"]

CONFIG_FILE = "config.json"

# The published file names no sizes of its vision tower; the published code fixes them.
_VIT_L_14_336 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}

# Fields that mean the same in the published file and in transformers' own Phi3Config.
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
    """Sizes of the decoder and the vision tower, from the fields of `config.json`."""

    published: Mapping[str, Any]

    def __post_init__(self) -> None:
        try:
            patch_size = cast("int", self.vision_config.patch_size)
            if self.crop_size % (2 * patch_size):
                raise CheckpointError(
                    f"crops of {self.crop_size} pixels cannot be cut into pairs of {patch_size}-pixel patches: "
                    f"correct vision_config in {CONFIG_FILE}"
                )
            _ = self.text_config
        except CheckpointError:
            raise
        except Exception as error:  # transformers validates sizes with exceptions of its own
            raise CheckpointError(
                f"{CONFIG_FILE} is not a configuration of Phi-3 Vision ({error}): download the checkpoint again"
            ) from error

    @classmethod
    def from_folder(cls, folder: Path) -> Phi3VisionConfig:
        """Read the `config.json` of a checkpoint."""
        return cls(read_json_object(folder / CONFIG_FILE))

    @cached_property
    def text_config(self) -> Phi3Config:
        """Config of the decoder."""
        values = {name: self.published[name] for name in _SHARED if name in self.published}
        # the published window is the whole context; special ids belong to the tokenizer, and may not exist there
        values |= dict.fromkeys(("sliding_window", "pad_token_id", "bos_token_id", "eos_token_id"))
        values["rope_parameters"] = _rope_parameters(self.published)
        return Phi3Config.from_dict(values, attn_implementation="sdpa")

    @cached_property
    def vision_config(self) -> CLIPVisionConfig:
        """Config of the vision tower, its unused last layer included."""
        return CLIPVisionConfig.from_dict(dict(self.published.get("vision_config") or _VIT_L_14_336))

    @property
    def crop_size(self) -> int:
        """Side of a crop in pixels."""
        return cast("int", self.vision_config.image_size)

    @property
    def tokens_per_side(self) -> int:
        """Side of a crop in tokens; each token is 2 x 2 patches."""
        return self.crop_size // cast("int", self.vision_config.patch_size) // 2

    @property
    def context_length(self) -> int:
        """Maximum number of tokens, prompt and answer together."""
        return int(self.text_config.max_position_embeddings)

    @property
    def original_context_length(self) -> int:
        """Maximum number of tokens with the short RoPE factors."""
        rope = self.text_config.rope_parameters or {}
        return int(rope.get("original_max_position_embeddings") or self.context_length)


def _rope_parameters(published: Mapping[str, Any]) -> dict[str, Any]:
    # "su" is what transformers calls longrope; transformers 5 cannot read the old name itself
    scaling = published.get("rope_scaling")
    rope = {"rope_theta": published.get("rope_theta", 10_000.0), "partial_rotary_factor": 1.0}
    if not scaling:
        return {"rope_type": "default", **rope}
    if scaling.get("type", scaling.get("rope_type")) not in ("su", "longrope"):
        raise CheckpointError(f"rope_scaling {scaling.get('type')!r} is not Phi-3 Vision's: it is 'su' or null")
    original = published["original_max_position_embeddings"]
    return {
        "rope_type": "longrope",
        **rope,
        "factor": published["max_position_embeddings"] / original,
        "short_factor": list(scaling["short_factor"]),
        "long_factor": list(scaling["long_factor"]),
        "original_max_position_embeddings": original,
    }
