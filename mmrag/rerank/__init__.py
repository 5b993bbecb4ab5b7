"""Reranking by looking: a composite image, one prompt, a vision LLM, a complete ranking."""

from __future__ import annotations

from mmrag.rerank.base import Reranker
from mmrag.rerank.composite import compose
from mmrag.rerank.listwise import ListwiseReranker, OnFailure
from mmrag.rerank.prompts import Prompt
from mmrag.rerank.registry import load_reranker
from mmrag.rerank.result import Look, Reranked

__all__ = ["ListwiseReranker", "Look", "OnFailure", "Prompt", "Reranked", "Reranker", "compose", "load_reranker"]
