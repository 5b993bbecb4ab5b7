"""Pretrained Visualized BGE models and their verified download from the Hugging Face hub."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from mmrag.embedding.visualized_bge.modeling import VisionConfig
from mmrag.errors import CheckpointError

__all__ = ["PRETRAINED_MODELS", "TEXT_FILES", "WEIGHTS_REPO", "ModelDescription", "download"]

WEIGHTS_REPO = "BAAI/bge-visualized"
TEXT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class ModelDescription:
    """Files and sizes of a pretrained encoder."""

    weights_file: str  # in WEIGHTS_REPO
    size: int  # of that file, in bytes
    sha256: str | None  # of that file, where it is known
    text_repo: str  # repository of TEXT_FILES
    vision_config: VisionConfig  # as in EVA-CLIP's model_configs; WEIGHTS_REPO has no copy


PRETRAINED_MODELS = {
    "base-en-v1.5": ModelDescription(
        weights_file="Visualized_base_en_v1.5.pth",
        size=392_860_018,
        sha256="07e58cf70ee6962530490ef1ac5b632e7e0153ba8c7ed49d55e0f41ec97bf6a6",
        text_repo="BAAI/bge-base-en-v1.5",
        vision_config=VisionConfig(image_size=224, patch_size=16, width=768, layers=12),  # EVA02-CLIP-B-16
    ),
    "m3": ModelDescription(
        weights_file="Visualized_m3.pth",
        size=1_746_155_890,
        sha256=None,
        text_repo="BAAI/bge-m3",
        vision_config=VisionConfig(image_size=224, patch_size=14, width=1024, layers=24),  # EVA02-CLIP-L-14
    ),
}


def download(name: str, *, revision: str | None = None) -> tuple[Path, Path]:
    """Download a pretrained encoder, or take it from the hub's cache; returns its weights file and text folder.

    Raises `CheckpointError` if the hub cannot be reached, or a file is not the published one.
    """
    model = PRETRAINED_MODELS[name]
    texts = [_fetch(model.text_repo, file, None, model) for file in TEXT_FILES]
    weights = _fetch(WEIGHTS_REPO, model.weights_file, revision, model)
    _verify(weights, model)
    return weights, texts[0].parent


def _fetch(repo: str, file: str, revision: str | None, model: ModelDescription) -> Path:
    with suppress(LocalEntryNotFoundError):  # Cached files are verified, so the hub need not be contacted.
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=True))
    try:
        return Path(hf_hub_download(repo, file, revision=revision))
    except Exception as error:  # no network, no such revision, no space: the hub has many classes
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"{file} cannot be fetched from {repo}{at} on the hub ({error}). {_manual_steps(model)}"
        ) from error


def _verify(weights: Path, model: ModelDescription) -> None:
    size = weights.stat().st_size
    if size != model.size:
        raise CheckpointError(
            f"{weights} has {size:,} bytes, the published file has {model.size:,}: the download "
            f"is incomplete or another file. Delete it and try again. {_manual_steps(model)}"
        )
    if model.sha256 is None:
        return
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        raise CheckpointError(
            f"{weights} has sha256 {found}, the published file has {model.sha256}: it is damaged "
            f"or was replaced. Delete it and try again. {_manual_steps(model)}"
        )


def _manual_steps(model: ModelDescription) -> str:
    return (
        "Or place the files by hand and give the folder instead of the name: "
        f"{model.weights_file} from https://huggingface.co/{WEIGHTS_REPO}, and in its sub-folder "
        f"text/ {', '.join(TEXT_FILES)} from https://huggingface.co/{model.text_repo}"
    )
