"""Finding, loading and saving Phi-3 Vision checkpoints in the published layout."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmrag.errors import CheckpointError
from mmrag.vision.base import RANKING_CONFIG_FILE, RankingConfig, read_json_object
from mmrag.vision.phi3.configuration import CONFIG_FILE, Phi3VisionConfig
from mmrag.vision.phi3.image_processing import PREPROCESSOR_FILE
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionProcessor
from mmrag.vision.phi3.tokenizer import TOKENIZER_FILE, Phi3Tokenizer

__all__ = ["find_checkpoint", "load_vision_model", "save_vision_model"]

DEMO_FOLDER = Path(__file__).parent / "demo"
PRETRAINED_MODELS = ("microsoft/Phi-3-vision-128k-instruct", "microsoft/Phi-3.5-vision-instruct")
# Weights and data; the repository's code is not downloaded.
_FILES = ["*.safetensors", "*.safetensors.index.json", "*config.json", "tokenizer.json"]

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


def find_checkpoint(name_or_path: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of a checkpoint, downloading it if necessary."""
    if name_or_path == "demo":
        if not DEMO_FOLDER.is_dir():
            raise CheckpointError(
                f"the demo reranker is not in this installation ({DEMO_FOLDER} is missing): "
                "train it with `python -m examples.train_demo_models reranker`"
            )
        return DEMO_FOLDER
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    name = str(name_or_path)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(
            f"there is no folder {name!r}: give one in the published layout, 'demo', "
            f"or a repository of the hub such as {PRETRAINED_MODELS[0]!r}"
        )
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except Exception as error:  # no network, no such repository or revision, no space
        at_revision = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"{name}{at_revision} cannot be downloaded from the hub ({error}). Or place {', '.join(_FILES)} "
            f"of https://huggingface.co/{name} in a folder and give the folder instead"
        ) from error


def load_vision_model(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Phi3VisionNetwork:
    """Load the network of a checkpoint, in eval mode; the weights are memory-mapped."""
    config = Phi3VisionConfig.from_folder(folder)
    with torch.device("meta"):
        network = Phi3VisionNetwork(config, Phi3Tokenizer.from_folder(folder).image_token_id)
    unused = _unused_names(config)
    weights = {
        _rename(name, _PREFIXES): (tensor.flatten() if name in _SHAPES else tensor).to(device=device, dtype=dtype)
        for name, tensor in _read_tensors(folder)
        if not unused.fullmatch(name)
    }
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
    """Write a checkpoint with the published names, without the unused last layer of the vision tower."""
    folder.mkdir(parents=True, exist_ok=True)
    to_published = {ours: published for published, ours in _PREFIXES.items()}
    weights: dict[str, Tensor] = {}
    for ours, tensor in network.state_dict().items():
        name = _rename(ours, to_published)
        weights[name] = tensor.reshape(_SHAPES.get(name, tensor.shape)).detach().to("cpu", dtype).contiguous()
    save_file(weights, folder / _WEIGHTS_FILE, metadata={"format": "pt"})
    config = json.dumps(dict(network.config.published), indent=2) + "\n"
    (folder / CONFIG_FILE).write_text(config, encoding="utf-8")
    (folder / PREPROCESSOR_FILE).write_text(processor.image_processor.to_json(), encoding="utf-8")
    processor.tokenizer.backend.save(str(folder / TOKENIZER_FILE))
    if ranking_config is not None:
        (folder / RANKING_CONFIG_FILE).write_text(ranking_config.to_json(), encoding="utf-8")


def _read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    shards = [_WEIGHTS_FILE]
    if (index := folder / _INDEX_FILE).is_file():
        weight_map: dict[str, str] = read_json_object(index).get("weight_map", {})
        shards = sorted(set(weight_map.values()))
    for shard in map(folder.joinpath, shards):
        if not shard.is_file():
            raise CheckpointError(f"{shard} is missing: download the checkpoint again")
        try:
            yield from load_file(shard).items()
        except SafetensorError as error:
            raise CheckpointError(f"{shard} is damaged ({error}): download the checkpoint again") from error


def _unused_names(config: Phi3VisionConfig) -> re.Pattern[str]:
    tower = re.escape(f"{_VISION}img_processor.vision_model.")
    last = config.vision_config.num_hidden_layers - 1
    return re.compile(
        rf"{tower}(encoder\.layers\.{last}\..*|post_layernorm\..*|embeddings\.position_ids)"
        rf"|{re.escape(_VISION)}wte\.weight|.*\.rotary_emb\.inv_freq"
    )


def _rename(name: str, prefixes: Mapping[str, str]) -> str:
    old = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
    return prefixes.get(old, "") + name.removeprefix(old)


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
