"""What every reranker offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mmrag.images import ImageSource
from mmrag.query import Query
from mmrag.rerank.result import Reranked

__all__ = ["Reranker"]


@runtime_checkable
class Reranker(Protocol):
    """Reranks candidate images for a query; no candidate is ever lost."""

    def rerank(self, query: Query, candidates: Sequence[ImageSource | None], top_n: int | None = None) -> Reranked:
        """Rank all candidates; ``top_n`` only shortens the result's ``top``."""
        ...

    async def arerank(
        self, query: Query, candidates: Sequence[ImageSource | None], top_n: int | None = None
    ) -> Reranked:
        """Async version of `rerank`."""
        ...
