"""Fetches a published encoder: its name in, its verified files on this machine out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from mmrag.embedding.published import PUBLISHED, TEXT_FILES, WEIGHTS_REPO, Variant
from mmrag.embedding.visualized_bge.modeling import VisionConfig
from mmrag.errors import CheckpointError

__all__ = ["Download", "download"]


@dataclass(frozen=True)
class Download:
    """Where the parts of a published encoder lie on this machine."""

    weights: Path
    text: Path
    vision_config: VisionConfig


def download(name: str, *, revision: str | None = None) -> Download:
    """Fetch a published encoder, or find it in the hub's cache.

    Parameters
    ----------
    name
        Of one of `PUBLISHED`.
    revision
        Branch, tag or commit of the weights' repository; the newest when not given.

    Raises
    ------
    CheckpointError
        When the hub cannot be reached, or a file is not the published one.
    """
    variant = PUBLISHED[name]
    texts = [_fetch(variant.text_repo, file, None, variant) for file in TEXT_FILES]
    weights = _fetch(WEIGHTS_REPO, variant.weights_file, revision, variant)
    _verify(weights, variant)
    return Download(weights, texts[0].parent, variant.vision_config)


def _fetch(repo: str, file: str, revision: str | None, variant: Variant) -> Path:
    try:
        # What the cache has is verified below, so there is no need to ask the hub about it.
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(hf_hub_download(repo, file, revision=revision))
    except Exception as error:  # no network, no such revision, no space: the hub has many classes
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"{file} cannot be fetched from {repo}{at} on the hub ({error}). {_by_hand(variant)}"
        ) from error


def _verify(weights: Path, variant: Variant) -> None:
    size = weights.stat().st_size
    if size != variant.size:
        raise CheckpointError(
            f"{weights} has {size:,} bytes, the published file has {variant.size:,}: the download "
            f"is incomplete or another file. Delete it and try again. {_by_hand(variant)}"
        )
    if variant.sha256 is None:
        return
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != variant.sha256:
        raise CheckpointError(
            f"{weights} has sha256 {found}, the published file has {variant.sha256}: it is damaged "
            f"or was replaced. Delete it and try again. {_by_hand(variant)}"
        )


def _by_hand(variant: Variant) -> str:
    return (
        "Or place the files by hand and give the folder instead of the name: "
        f"{variant.weights_file} from https://huggingface.co/{WEIGHTS_REPO}, and in its sub-folder "
        f"text/ {', '.join(TEXT_FILES)} from https://huggingface.co/{variant.text_repo}"
    )
