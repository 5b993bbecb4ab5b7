"""Locating a Phi-3 Vision checkpoint: bundled, in a folder, or on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from mmrag.errors import CheckpointError

__all__ = ["DEMO_FOLDER", "PRETRAINED_MODELS", "find_checkpoint"]

DEMO_FOLDER = Path(__file__).parent / "demo"
PRETRAINED_MODELS = ("microsoft/Phi-3-vision-128k-instruct", "microsoft/Phi-3.5-vision-instruct")

# Weights and data; the repository's code is not downloaded.
_FILES = ["*.safetensors", "*.safetensors.index.json", "*config.json", "tokenizer.json"]


def find_checkpoint(name_or_path: str | Path, *, revision: str | None = None) -> Path:
    """Return the folder of a checkpoint, downloading it if necessary.

    Raises
    ------
    CheckpointError
        If there is no such folder or repository, or the hub cannot be reached.
    """
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
