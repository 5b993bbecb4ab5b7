"""What goes over the wire: the question of a visitor, the answer, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from mmrag.filters import Scalar
from mmrag.results import RankedImage, RankedImages

__all__ = ["ID", "MOST", "Answer", "Asked", "Fault", "Question", "Seen"]

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


class Seen(BaseModel):
    """One look of the vision LLM: the composite image, the prompt, the answer."""

    url: str
    prompt: str
    answer: str


class Answer(BaseModel):
    """The results, best first; ``degraded`` and ``error`` say that and why reranking failed."""

    query: Asked
    results: list[RankedImage]
    stage: Literal["retrieved", "reranked"]
    degraded: bool = False
    reason: str = ""
    caption: str = ""
    repairs: list[str] = []
    unknown_words: list[str] = []
    timings_ms: dict[str, float] = {}
    looks: list[Seen] = []
    error: str = ""

    @classmethod
    def of(cls, found: RankedImages, asked: Asked, looks: Sequence[str] = (), error: str = "") -> Answer:
        """Build the response; ``looks`` are the URLs of the composites."""
        reranked = found.stage == "reranked"
        if found.failures and not reranked:
            error = found.failures[0]
        return cls(
            query=asked,
            results=[_public(image) for image in found.results],
            stage=found.stage,
            degraded=bool(error) or found.degraded,
            reason=found.reason,
            caption=found.caption,
            repairs=list(found.repairs) if reranked else [],
            unknown_words=list(found.unknown_words),
            timings_ms={stage: round(ms, 2) for stage, ms in found.timings_ms.items()},
            looks=[
                Seen(url=url, prompt=call.prompt, answer=call.ranking.answer)
                for url, call in zip(looks, found.calls, strict=True)
            ],
            error=error,
        )


class Fault(BaseModel):
    """What went wrong, and what to do next."""

    error: str


def _public(image: RankedImage) -> RankedImage:
    """Replace the path on this server by a URL, and drop metadata that is no scalar."""
    path = f"/images/{quote(image.id, safe='')}"
    return image.model_copy(update={"path": path, "score": round(image.score, 6), "metadata": _scalars(image.metadata)})


def _scalars(metadata: Mapping[str, Any]) -> dict[str, Scalar]:
    """Keep what a filter can compare; lists of a file's names would tell folders of the server."""
    return {key: value for key, value in metadata.items() if isinstance(value, (str, int, float, bool))}
