"""Visualized BGE: texts, images and both together as vectors of one space."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrag.embedding.visualized_bge.model import VisualizedBGE

__all__ = ["VisualizedBGE"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mmrag.embedding' has no attribute {name!r}")
    return getattr(importlib.import_module("mmrag.embedding.visualized_bge.model"), name)
