"""Reads and writes an encoder in the published layout: a folder in, network and tokenizer out.

folder/*.pth or *.safetensors    fp16 tensors under the published names
folder/text/                     config.json and the tokenizer's files
folder/vision_config.json        sizes of the tower
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, BertConfig, PreTrainedTokenizerBase, XLMRobertaConfig

from mmrag.embedding.published import PUBLISHED
from mmrag.embedding.visualized_bge.joint import JointEncoder, TextConfig
from mmrag.embedding.visualized_bge.modeling import VisionConfig
from mmrag.embedding.visualized_bge.weights import load_weights, save_weights
from mmrag.errors import CheckpointError

__all__ = ["load_encoder", "load_network", "read_vision_config", "save_encoder"]

_FAMILIES: dict[str, type[TextConfig]] = {"bert": BertConfig, "xlm-roberta": XLMRobertaConfig}


def load_encoder(folder: str | Path) -> tuple[JointEncoder, PreTrainedTokenizerBase]:
    """Read an encoder: float32, on the CPU, in eval mode.

    Parameters
    ----------
    folder
        In the published layout. Beside weights under their published name,
        ``vision_config.json`` may be missing.

    Raises
    ------
    CheckpointError
        When a file is missing, damaged, or belongs to another model.
    """
    folder = Path(folder)
    weights, sizes = _weights_in(folder), folder / "vision_config.json"
    published = {variant.weights_file: variant for variant in PUBLISHED.values()}
    if weights.name in published and not sizes.exists():
        vision_config = published[weights.name].vision_config
    else:
        vision_config = read_vision_config(sizes)
    return load_network(weights, folder / "text", vision_config)


def load_network(
    weights: Path, text: Path, vision_config: VisionConfig
) -> tuple[JointEncoder, PreTrainedTokenizerBase]:
    """Read an encoder whose parts lie in different places, as they do after a download."""
    network = JointEncoder(_read_text_config(text / "config.json"), vision_config)
    tokenizer = _read_tokenizer(text)
    if len(tokenizer) > network.text_config.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {text} has {len(tokenizer)} words, config.json beside it says "
            f"{network.text_config.vocab_size}: take both from the same text model"
        )
    load_weights(network, weights)
    return network.eval(), tokenizer


def save_encoder(encoder: JointEncoder, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Write an encoder as fp16 safetensors in the published layout; `load_encoder` reads it.

    Parameters
    ----------
    encoder, tokenizer
        What to write.
    folder
        Made when missing; files of the same names in it are replaced.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder.text_config.save_pretrained(folder / "text")
    tokenizer.save_pretrained(folder / "text")
    vision = {"vision_cfg": dataclasses.asdict(encoder.vision_config)}
    (folder / "vision_config.json").write_text(json.dumps(vision, indent=1) + "\n")
    save_weights(encoder, folder / "model.safetensors")


def read_vision_config(path: Path) -> VisionConfig:
    """Read the sizes of a tower from a published ``vision_config.json``."""
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
        (folder / "tokenizer.json").stat()  # else transformers makes up an empty one
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, padding_side="right"
        )
    except Exception as error:  # whatever the tokenizer's parser trips over
        raise CheckpointError(
            f"no tokenizer can be read from {folder} ({error}): it holds config.json, "
            "tokenizer.json and tokenizer_config.json of the text model"
        ) from error
    return tokenizer


def _weights_in(folder: Path) -> Path:
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}: give one that holds an encoder")
    found = sorted([*folder.glob("*.safetensors"), *folder.glob("*.pth")])
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(
            f"{folder} must hold exactly one *.safetensors or *.pth, it holds {names}: leave only the file to load"
        )
    return found[0]
