"""What goes over the wire: the question of a visitor, the answer, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from mmrag.filters import Scalar
from mmrag.results import Found, Move

__all__ = ["ID", "MOST", "Answer", "Asked", "Fault", "Question", "Result", "Seen"]

MOST = 50
"""The most results of one search."""

ID = r"^[^\"'\\/\x00-\x1f]{1,200}$"
"""What the id of an image looks like: nothing that leads out of a quoted string or a folder."""


class Question(BaseModel):
    """A search; at least one of text, image and image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field("", max_length=2000, description="What is wanted, in words.")
    image_id: str | None = Field(None, pattern=ID, description="Id of an indexed image, or of an earlier upload.")
    image: str | None = Field(None, description="An image of one's own, as a data: URI.")
    filter: str = Field("", max_length=2000, description='Of metadata: price < 40 and product == "mug".')
    top: int | None = Field(None, ge=1, le=MOST, description="How many results.")
    rerank: bool = Field(True, description="Let the vision LLM look at the results.")


class Asked(BaseModel):
    """The question as it was understood; ``image`` can be asked with again."""

    text: str
    image_id: str | None
    image_url: str | None
    filter: str
    top: int


class Result(BaseModel):
    """One image: its place now, the place retrieval gave it, and what is known of it."""

    rank: int
    retrieved: int
    id: str
    title: str
    url: str
    score: float
    rerank_score: float | None
    description: str
    metadata: dict[str, Scalar]


class Seen(BaseModel):
    """One look of the vision LLM: the composite image, the prompt, the answer."""

    url: str
    prompt: str
    answer: str


class Answer(BaseModel):
    """The results, best first as of a stage; ``error`` says why reranking failed."""

    stage: Literal["retrieved", "reranked", "failed"]
    query: Asked
    results: list[Result]
    reason: str = ""
    caption: str = ""
    repairs: list[str] = []
    unknown_words: list[str] = []
    timings_ms: dict[str, float] = {}
    looks: list[Seen] = []
    error: str = ""

    @classmethod
    def of(cls, found: Found, asked: Asked, looks: Sequence[str] = (), error: str = "") -> Answer:
        """Tell what was found; ``looks`` are the URLs of what the vision LLM saw."""
        if found.failure:
            return cls.of(replace(found, reranked=None), asked, error=found.failure)
        reranked = found.reranked
        ranking = reranked.ranking if reranked else None
        return cls(
            stage="failed" if error else "reranked" if reranked else "retrieved",
            query=asked,
            results=[_result(move, found) for move in found.moves],
            reason=ranking.reason if ranking else "",
            caption=reranked.caption if reranked else "",
            repairs=ranking.repairs if ranking else [],
            unknown_words=list(found.unknown_words),
            timings_ms={stage: round(ms, 2) for stage, ms in found.timings_ms.items()},
            looks=[
                Seen(url=url, prompt=look.prompt, answer=look.ranking.answer)
                for url, look in zip(looks, reranked.calls if reranked else (), strict=True)
            ],
            error=error,
        )


class Fault(BaseModel):
    """What went wrong, and what to do next."""

    error: str


def _result(move: Move, found: Found) -> Result:
    ranking = found.reranked.ranking if found.reranked else None
    label = move.before
    return Result(
        rank=move.after,
        retrieved=label,
        id=move.hit.id,
        title=move.hit.title,
        url=f"/images/{quote(move.hit.id, safe='')}",
        score=round(move.hit.score, 6),
        rerank_score=ranking.scores[label - 1] if ranking and ranking.scores else None,
        description=ranking.descriptions[label - 1] if ranking and ranking.descriptions else "",
        metadata=_scalars(move.hit.metadata),
    )


def _scalars(metadata: Mapping[str, Any]) -> dict[str, Scalar]:
    """Keep what a filter can compare; lists of a file's names would tell folders of the server."""
    return {key: value for key, value in metadata.items() if isinstance(value, (str, int, float, bool))}
