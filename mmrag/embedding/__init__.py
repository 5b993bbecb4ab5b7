"""Encoders: texts, images and both together to vectors of one space."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrag.embedding.base import Encoder, EncoderInfo, as_query
    from mmrag.embedding.registry import load_encoder
    from mmrag.embedding.visualized_bge.model import VisualizedBGE

__all__ = ["Encoder", "EncoderInfo", "VisualizedBGE", "as_query", "load_encoder"]

_HOME = {
    "Encoder": "mmrag.embedding.base",
    "EncoderInfo": "mmrag.embedding.base",
    "VisualizedBGE": "mmrag.embedding.visualized_bge.model",
    "as_query": "mmrag.embedding.base",
    "load_encoder": "mmrag.embedding.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmrag.embedding' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
