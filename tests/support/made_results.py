"""Results of a search, made without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank import LLMCall
from mmrag.results import RankedImage, RankedImages


def made_image(id: str, path: str = "", score: float = 0.5, title: str = "", **metadata: Any) -> RankedImage:
    """An image that retrieval found; its ranks are set by `made_results`."""
    return RankedImage(
        id=id, path=path or id, title=title or id, rank=1, retrieval_rank=1, score=score, metadata=metadata
    )


def made_results(images: Sequence[RankedImage], *, ranking: Ranking | None = None, **fields: Any) -> RankedImages:
    """Images in retrieval order, reranked if there is a ranking."""
    order = ranking.order if ranking else range(1, len(images) + 1)
    results = [
        images[label - 1].model_copy(
            update={
                "rank": rank,
                "retrieval_rank": label,
                "reason": ranking.reason if ranking and rank == 1 else "",
                "rerank_score": ranking.scores[label - 1] if ranking and ranking.scores else None,
            }
        )
        for rank, label in enumerate(order, 1)
    ]
    known = {"stage": "reranked", "repairs": tuple(ranking.repairs)} if ranking else {}
    return RankedImages.model_validate({"results": tuple(results), "query": Query("mug"), **known, **fields})


def made_call(ranking: Ranking) -> LLMCall:
    """A call of a vision LLM that answered with a ranking."""
    return LLMCall(tuple(sorted(ranking.order)), Image.new("RGB", (40, 40), "blue"), "rank these", ranking)
