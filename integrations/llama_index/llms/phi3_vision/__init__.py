"""Phi-3 Vision as a LlamaIndex LLM."""

from __future__ import annotations

from llama_index.llms.phi3_vision.base import Phi3VisionLLM

__all__ = ["Phi3VisionLLM"]
