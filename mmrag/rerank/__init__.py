"""Rerankers: listwise by one composite image and a vision LLM, or pointwise by a score per candidate."""

from __future__ import annotations

from mmrag.rerank.base import OnFailure, Reranker
from mmrag.rerank.composite import compose
from mmrag.rerank.listwise import ListwiseReranker, load_reranker
from mmrag.rerank.pointwise import PointwiseReranker, Scorer
from mmrag.rerank.prompts import Prompt
from mmrag.rerank.result import LLMCall, RerankResult

__all__ = [
    "LLMCall",
    "ListwiseReranker",
    "OnFailure",
    "PointwiseReranker",
    "Prompt",
    "RerankResult",
    "Reranker",
    "Scorer",
    "compose",
    "load_reranker",
]
