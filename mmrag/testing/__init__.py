"""Test doubles of encoders and vision LLMs, without weights or network; each name loads on first use.

Installing mmrag also gives pytest two fixtures, see `mmrag.testing.fixtures`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrag.testing.encoder import ToyEncoder, toy_encoder
    from mmrag.testing.vision import (
        MALFORMED,
        MockVision,
        RankRequest,
        completion,
        failing,
        looking,
        malformed,
        oracle,
        reversing,
        scripted,
        slow,
    )

__all__ = [
    "MALFORMED", "MockVision", "RankRequest", "ToyEncoder", "completion", "failing", "looking", "malformed", "oracle",
    "reversing", "scripted", "slow", "toy_encoder",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mmrag.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = "encoder" if name in ("ToyEncoder", "toy_encoder") else "vision"
    return getattr(importlib.import_module(f"mmrag.testing.{module}"), name)
