"""A checkpoint's JSON files. In: a path. Out: what it holds, or an error that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from mmrag.errors import CheckpointError

__all__ = ["read_object"]


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    CheckpointError
        When the file is missing, is no JSON, or holds something else than an object.
    """
    if not file.is_file():
        raise CheckpointError(
            f"{file.parent} holds no {file.name}: name a folder in Phi-3 Vision's published "
            "layout, or fetch the checkpoint again"
        )
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is no JSON ({error}): fetch it again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} holds no JSON object: fetch it again")
    return cast("dict[str, Any]", found)
