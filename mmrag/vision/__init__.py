"""Vision LLMs: Phi-3 Vision on this machine, and remote ones through instructor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrag.vision.base import Message, VisionLLM
    from mmrag.vision.config import RankingConfig
    from mmrag.vision.phi3.model import Phi3Vision
    from mmrag.vision.remote.instructor import InstructorVision

__all__ = ["InstructorVision", "Message", "Phi3Vision", "RankingConfig", "VisionLLM"]

_HOME = {
    "InstructorVision": "mmrag.vision.remote.instructor",
    "Message": "mmrag.vision.base",
    "Phi3Vision": "mmrag.vision.phi3.model",
    "RankingConfig": "mmrag.vision.config",
    "VisionLLM": "mmrag.vision.base",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmrag.vision' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
