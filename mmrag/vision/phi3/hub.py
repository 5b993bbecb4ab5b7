"""Finds a Phi-3 Vision checkpoint. In: a name or a folder. Out: a folder on this machine."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from mmrag.errors import CheckpointError

__all__ = ["DEMO", "PUBLISHED", "find_checkpoint"]

DEMO = Path(__file__).parent / "demo"
PUBLISHED = ("microsoft/Phi-3-vision-128k-instruct", "microsoft/Phi-3.5-vision-instruct")

# weights and data; the repository's code stays where it is
_FILES = ["*.safetensors", "*.safetensors.index.json", "*config.json", "tokenizer.json"]


def find_checkpoint(name_or_path: str | Path, *, revision: str | None = None) -> Path:
    """Find a checkpoint's folder: the bundled demo, a folder, or one fetched from the hub.

    Raises
    ------
    CheckpointError
        When there is no such folder, or the hub cannot be reached.
    """
    if name_or_path == "demo":
        if not DEMO.is_dir():
            raise CheckpointError(
                f"the demo reranker is not in this installation ({DEMO} is missing): "
                "train it with `python -m examples.train_demo_models reranker`"
            )
        return DEMO
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    name = str(name_or_path)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(
            f"there is no folder {name!r}: give one in the published layout, 'demo', "
            f"or a repository of the hub such as {PUBLISHED[0]!r}"
        )
    return _fetch(name, revision)


def _fetch(repo: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=_FILES))
    except Exception as error:  # no network, no such repository or revision, no space
        at = f" at revision {revision!r}" if revision else ""
        raise CheckpointError(
            f"{repo}{at} cannot be fetched from the hub ({error}). Or place {', '.join(_FILES)} "
            f"of https://huggingface.co/{repo} in a folder and give the folder instead"
        ) from error
