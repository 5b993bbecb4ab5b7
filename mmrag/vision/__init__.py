"""Vision LLMs: Phi-3 Vision on this machine, and remote ones through instructor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmrag.vision.base import Message, RankingConfig, VisionLLM
from mmrag.vision.remote.instructor import InstructorVision

if TYPE_CHECKING:
    from mmrag.vision.phi3.model import Phi3Vision

__all__ = ["InstructorVision", "Message", "Phi3Vision", "RankingConfig", "VisionLLM"]


def __getattr__(name: str) -> Any:
    if name != "Phi3Vision":
        raise AttributeError(f"module 'mmrag.vision' has no attribute {name!r}")
    from mmrag.vision.phi3.model import Phi3Vision  # imports torch

    return Phi3Vision
