"""A query of an evaluation as the HTML report shows it: the search with its marks, and the right images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmrag.evaluation.result import COMPOSED, RERANKED, ImageInfo, QueryResult
from mmrag.query import Query
from mmrag.reports.html import section, small
from mmrag.results import RankedImage, RankedImages

__all__ = ["query_card"]

MARKS = ("", "≈ ", "✓ ")


def query_card(
    result: QueryResult, images: Mapping[str, ImageInfo], mode: str, metric: str, top: int
) -> dict[str, Any]:
    """Return what the template shows of a query: the search, its metric, and the rank of each right image."""
    ranking, best = result.rankings[mode], max(result.grades.values())
    right = sorted(name for name, grade in result.grades.items() if grade == best)
    return {
        "search": section(_ranked_images(result, images, top)),
        "kind": result.kind,
        "value": result.metrics[mode][metric],
        "right": [
            {
                "title": images[name].title,
                "image": small(images[name].path),
                "rank": ranking.index(name) + 1 if name in ranking else None,
            }
            for name in right[:top]
            if name in images
        ],
    }


def _ranked_images(result: QueryResult, images: Mapping[str, ImageInfo], top: int) -> RankedImages:
    """Rebuild the ranked images of a query."""
    retrieved = result.rankings[COMPOSED][:top]
    scores = dict(zip(retrieved, result.similarities, strict=True))
    ranks = {name: rank for rank, name in enumerate(retrieved, 1)}
    final = result.rankings.get(RERANKED, retrieved)[:top]
    return RankedImages(
        results=tuple(
            _ranked_image(result, images, name, rank=rank, retrieval_rank=ranks[name], score=scores[name])
            for rank, name in enumerate(final, 1)
        ),
        stage="reranked" if RERANKED in result.rankings else "retrieved",
        repairs=tuple(result.repairs),
        timings_ms=result.timings_ms,
        query=Query(result.text, result.image),
    )


def _ranked_image(result: QueryResult, images: Mapping[str, ImageInfo], name: str, **fields: Any) -> RankedImage:
    grade, best = result.grades.get(name, 0), max(result.grades.values())
    mark = MARKS[2 if grade == best else 1 if grade else 0]
    path, title = (images[name].path, images[name].title) if name in images else (name, name)
    reason = result.reason if fields["rank"] == 1 else ""
    return RankedImage(id=name, path=path, title=mark + title, reason=reason, **fields)
