"""Loading and saving Phi-3 Vision checkpoints in the published layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmrag.errors import CheckpointError
from mmrag.vision.config import RANKING_CONFIG_FILE, RankingConfig, read_json_object
from mmrag.vision.phi3.configuration import CONFIG_FILE, Phi3VisionConfig
from mmrag.vision.phi3.image_processing import PREPROCESSOR_FILE
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionProcessor
from mmrag.vision.phi3.tokenizer import TOKENIZER_FILE, Phi3Tokenizer

__all__ = ["load_vision_model", "save_vision_model"]

_INDEX_FILE = "model.safetensors.index.json"
_WEIGHTS_FILE = "model.safetensors"
_VISION = "model.vision_embed_tokens."

# Published prefix -> ours.
_PREFIXES = {
    f"{_VISION}img_processor.vision_model.": "image_embedding.vision_tower.",
    f"{_VISION}img_projection.": "image_embedding.projection.",
    f"{_VISION}sub_GN": "image_embedding.sub_separator",
    f"{_VISION}glb_GN": "image_embedding.global_separator",
    "model.": "decoder.",
}
# Published shapes of the two separators, which are flat here.
_SHAPES = {f"{_VISION}sub_GN": (1, 1, 1, -1), f"{_VISION}glb_GN": (1, 1, -1)}


def load_vision_model(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Phi3VisionNetwork:
    """Load the network of a checkpoint, in eval mode; the weights are memory-mapped.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or the weights do not fit `config.json`.
    """
    config = Phi3VisionConfig.from_folder(folder)
    image_token_id = Phi3Tokenizer.from_folder(folder).image_token_id
    with torch.device("meta"):
        network = Phi3VisionNetwork(config, image_token_id)
    unused = _unused_names(config)
    weights: dict[str, Tensor] = {}
    for name, tensor in _read_tensors(folder):
        if not unused.fullmatch(name):
            flat = tensor.flatten() if name in _SHAPES else tensor
            weights[_rename(name, _PREFIXES)] = flat.to(device=device, dtype=dtype)
    _validate(weights, network.state_dict(), folder)
    network.load_state_dict(weights, assign=True)
    network.init_buffers()
    return network.to(device).eval()


def save_vision_model(
    network: Phi3VisionNetwork,
    processor: Phi3VisionProcessor,
    folder: Path,
    *,
    ranking_config: RankingConfig | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a checkpoint: weights, `config.json`, tokenizer, image processor and ranking config.

    The unused last layer of the vision tower is left out; everything else has its published name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    to_published = {ours: published for published, ours in _PREFIXES.items()}
    weights: dict[str, Tensor] = {}
    for ours, tensor in network.state_dict().items():
        name = _rename(ours, to_published)
        shaped = tensor.reshape(_SHAPES[name]) if name in _SHAPES else tensor
        weights[name] = shaped.detach().to("cpu", dtype).contiguous()
    save_file(weights, folder / _WEIGHTS_FILE, metadata={"format": "pt"})
    config = json.dumps(dict(network.config.published), indent=2) + "\n"
    (folder / CONFIG_FILE).write_text(config, encoding="utf-8")
    (folder / PREPROCESSOR_FILE).write_text(processor.image_processor.to_json(), encoding="utf-8")
    processor.tokenizer.backend.save(str(folder / TOKENIZER_FILE))
    if ranking_config is not None:
        (folder / RANKING_CONFIG_FILE).write_text(ranking_config.to_json(), encoding="utf-8")


def _read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for shard in _shards(folder):
        if not shard.is_file():
            raise CheckpointError(f"{shard} is missing: download the checkpoint again")
        try:
            with safe_open(shard, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    yield name, file.get_tensor(name)
        except SafetensorError as error:
            raise CheckpointError(f"{shard} is damaged ({error}): download the checkpoint again") from error


def _shards(folder: Path) -> list[Path]:
    index = folder / _INDEX_FILE
    if not index.is_file():
        return [folder / _WEIGHTS_FILE]
    weight_map: dict[str, str] = read_json_object(index).get("weight_map", {})
    return [folder / name for name in sorted(set(weight_map.values()))]


def _unused_names(config: Phi3VisionConfig) -> re.Pattern[str]:
    tower = re.escape(f"{_VISION}img_processor.vision_model.")
    last = config.vision_config.num_hidden_layers - 1
    return re.compile(
        rf"{tower}(encoder\.layers\.{last}\..*|post_layernorm\..*|embeddings\.position_ids)"
        rf"|{re.escape(_VISION)}wte\.weight|.*\.rotary_emb\.inv_freq"
    )


def _rename(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _validate(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], folder: Path) -> None:
    misshapen = [
        f"{name} is {tuple(weights[name].shape)}, not {tuple(expected[name].shape)}"
        for name in weights.keys() & expected.keys()
        if weights[name].shape != expected[name].shape
    ]
    faults = {
        "missing": expected.keys() - weights.keys(),
        "unknown": weights.keys() - expected.keys(),
        "misshapen": misshapen,
    }
    if any(faults.values()):
        listed = [f"{len(names)} {fault} ({', '.join(sorted(names)[:3])})" for fault, names in faults.items() if names]
        raise CheckpointError(
            f"the weights in {folder} do not fit its {CONFIG_FILE}: {'; '.join(listed)}. "
            "Download the checkpoint again, or correct vision_config"
        )
