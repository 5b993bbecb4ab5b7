"""The published folder of Phi-3 Vision, read and written: a folder to a network, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from mmrag.errors import CheckpointError
from mmrag.vision.config import RECIPE_FILE, RankingRecipe
from mmrag.vision.phi3.configuration import CONFIG_FILE, Phi3VisionConfig
from mmrag.vision.phi3.files import read_object
from mmrag.vision.phi3.image_processing import PREPROCESSOR_FILE, CropRule
from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.tokenizer import TOKENIZER_FILE, Vocabulary

__all__ = ["load_vision_model", "save_vision_model"]

_INDEX = "model.safetensors.index.json"
_ONE_FILE = "model.safetensors"
_VISION = "model.vision_embed_tokens."

# published prefix -> ours
_NAMES = {
    f"{_VISION}img_processor.vision_model.": "images.tower.",
    f"{_VISION}img_projection.": "images.projection.",
    f"{_VISION}sub_GN": "images.row_end",
    f"{_VISION}glb_GN": "images.divider",
    "model.": "decoder.",
    "lm_head.": "head.",
}
# published shapes of the two separators, which we keep flat
_SHAPES = {f"{_VISION}sub_GN": (1, 1, 1, -1), f"{_VISION}glb_GN": (1, 1, -1)}


def load_vision_model(
    folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Phi3VisionNetwork:
    """Build the network of a folder in the published layout, its weights memory-mapped.

    Raises
    ------
    CheckpointError
        When a file is missing or damaged, or the weights are not this network's.
    """
    config = Phi3VisionConfig.of_folder(folder)
    placeholder = Vocabulary.of_folder(folder).placeholder
    with torch.device("meta"):
        network = Phi3VisionNetwork(config, placeholder)
    unused = _unused(config)
    found: dict[str, Tensor] = {}
    for name, tensor in _tensors(folder):
        if not unused.fullmatch(name):
            ours = _ours(name)
            flat = tensor.flatten() if name in _SHAPES else tensor
            found[ours] = flat.to(device=device, dtype=dtype)
    _check(found, network.state_dict(), folder)
    network.load_state_dict(found, assign=True)
    network.restore_buffers()
    return network.to(device).eval()


def save_vision_model(
    network: Phi3VisionNetwork,
    folder: Path,
    *,
    tokenizer: Tokenizer,
    crops: CropRule,
    recipe: RankingRecipe | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the published layout: weights, `config.json`, tokenizer, preprocessor, recipe.

    The tower's unused last layer is left out; everything else has its published name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights: dict[str, Tensor] = {}
    for ours, tensor in network.state_dict().items():
        name = _published(ours)
        shaped = tensor.reshape(_SHAPES[name]) if name in _SHAPES else tensor
        weights[name] = shaped.detach().to("cpu", dtype).contiguous()
    save_file(weights, folder / _ONE_FILE, metadata={"format": "pt"})
    config = json.dumps(dict(network.config.published), indent=2) + "\n"
    (folder / CONFIG_FILE).write_text(config, encoding="utf-8")
    (folder / PREPROCESSOR_FILE).write_text(crops.to_json(), encoding="utf-8")
    tokenizer.save(str(folder / TOKENIZER_FILE))
    if recipe is not None:
        (folder / RECIPE_FILE).write_text(recipe.to_json(), encoding="utf-8")


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for shard in _shards(folder):
        if not shard.is_file():
            raise CheckpointError(f"{shard} is missing: fetch the checkpoint again")
        try:
            with safe_open(shard, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 (no mapping)
                    yield name, file.get_tensor(name)
        except SafetensorError as error:
            raise CheckpointError(f"{shard} is damaged ({error}): fetch the checkpoint again") from error


def _shards(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if not index.is_file():
        return [folder / _ONE_FILE]
    names: dict[str, str] = read_object(index).get("weight_map", {})
    return [folder / name for name in sorted(set(names.values()))]


def _unused(config: Phi3VisionConfig) -> re.Pattern[str]:
    tower = re.escape(f"{_VISION}img_processor.vision_model.")
    last = config.tower.num_hidden_layers - 1
    return re.compile(
        rf"{tower}(encoder\.layers\.{last}\..*|post_layernorm\..*|embeddings\.position_ids)"
        rf"|{re.escape(_VISION)}wte\.weight|.*\.rotary_emb\.inv_freq"
    )


def _ours(name: str) -> str:
    return _renamed(name, _NAMES)


def _published(name: str) -> str:
    return _renamed(name, {ours: published for published, ours in _NAMES.items()})


def _renamed(name: str, names: dict[str, str]) -> str:
    for before, after in names.items():
        if name.startswith(before):
            return after + name.removeprefix(before)
    return name


def _check(found: dict[str, Tensor], wanted: dict[str, Tensor], folder: Path) -> None:
    missing, unknown = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    other = [
        f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in wanted.keys() & found.keys()
        if found[name].shape != wanted[name].shape
    ]
    faults = [
        f"{len(names)} {kind} ({', '.join(names[:3])})"
        for kind, names in (("missing", missing), ("unknown", unknown), ("misshapen", sorted(other)))
        if names
    ]
    if faults:
        raise CheckpointError(
            f"the weights in {folder} are not those of its {CONFIG_FILE}: {'; '.join(faults)}. "
            "Fetch the checkpoint again, or mend vision_config"
        )
