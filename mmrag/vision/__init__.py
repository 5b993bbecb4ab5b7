"""Vision LLMs: Phi-3 Vision as a network of our own, and every other LLM through instructor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrag.vision.instructor import InstructorVision
    from mmrag.vision.phi3 import Phi3Vision
    from mmrag.vision.protocol import Message, VisionLLM
    from mmrag.vision.recipe import RankingRecipe

__all__ = ["InstructorVision", "Message", "Phi3Vision", "RankingRecipe", "VisionLLM"]

_HOME = {
    "InstructorVision": "mmrag.vision.instructor",
    "Message": "mmrag.vision.protocol",
    "Phi3Vision": "mmrag.vision.phi3",
    "RankingRecipe": "mmrag.vision.recipe",
    "VisionLLM": "mmrag.vision.protocol",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmrag.vision' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
