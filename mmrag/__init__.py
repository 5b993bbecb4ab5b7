"""Composed image+text search for LlamaIndex that never loses a result.

Public names load on first use, so ``import mmrag`` imports neither torch nor LlamaIndex.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrag.embedding import VisualizedBGE, load_encoder
    from mmrag.errors import MMRagError
    from mmrag.images import ImagePolicy, load_image
    from mmrag.query import Query
    from mmrag.ranking import Ranking
    from mmrag.rerank import ListwiseReranker, PointwiseReranker, load_reranker
    from mmrag.results import RankedImages
    from mmrag.vision import InstructorVision, Phi3Vision

_HOME = {
    "ImagePolicy": "mmrag.images",
    "InstructorVision": "mmrag.vision",
    "ListwiseReranker": "mmrag.rerank",
    "MMRagError": "mmrag.errors",
    "Phi3Vision": "mmrag.vision",
    "PointwiseReranker": "mmrag.rerank",
    "Query": "mmrag.query",
    "RankedImages": "mmrag.results",
    "Ranking": "mmrag.ranking",
    "VisualizedBGE": "mmrag.embedding",
    "load_encoder": "mmrag.embedding",
    "load_image": "mmrag.images",
    "load_reranker": "mmrag.rerank",
}

__all__ = [
    "ImagePolicy",
    "InstructorVision",
    "ListwiseReranker",
    "MMRagError",
    "Phi3Vision",
    "PointwiseReranker",
    "Query",
    "RankedImages",
    "Ranking",
    "VisualizedBGE",
    "load_encoder",
    "load_image",
    "load_reranker",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmrag' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
