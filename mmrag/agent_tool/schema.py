"""What an agent may ask, and what it is told: the same for LlamaIndex tools and for MCP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, create_model

from mmrag.filters import Scalar
from mmrag.images.redact import redact_url
from mmrag.results import RankedImage

__all__ = [
    "MOST",
    "DescribeImage",
    "FoundImage",
    "FoundImages",
    "ImageFacts",
    "Refusal",
    "SearchImages",
    "facts_of",
    "search_images",
    "shortened",
]

MOST = 24
"""The most results of one search: with the query, as many as one sheet shows."""

LONGEST = 30_000_000  # letters of a data: URI; how large its image may be, the policy says
TOLD_ELSEWHERE = {"title", "file_name"}


class SearchImages(BaseModel):
    """Find images in a collection by a sentence, by an example image, or by both together.

    Answers with JSON: results, best first, each with the id by which it can be named later; and
    with a contact sheet that shows them under the same numbers.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, title="search_images")

    text: str = Field(
        "",
        max_length=2000,
        description="What is wanted, in words. Beside an image: what shall be different, "
        "or what shall look like it, as in 'the same in red' or 'phone case with this pattern'.",
    )
    image: str | None = Field(None, max_length=LONGEST, description="An example image.")
    top_n: int | None = Field(None, ge=1, le=MOST, description="How many images.")
    filters: str | None = Field(None, max_length=2000, description="Conditions on metadata.")


class DescribeImage(BaseModel):
    """Look at one image of the collection: all that is known about it, and the image itself."""

    model_config = ConfigDict(extra="forbid", title="describe_image")

    id: str = Field(min_length=1, description="The id of a result of search_images.")


class FoundImage(BaseModel):
    """One result; ``similarity`` is the retriever's cosine, ``score`` the reranker's."""

    number: int
    id: str
    title: str
    path: str = ""
    similarity: float
    score: float | None = None
    reason: str = ""
    metadata: dict[str, Scalar] = Field(default_factory=dict)

    @classmethod
    def of(cls, item: RankedImage) -> FoundImage:
        """Tell an item of an answer, with what is known about it."""
        return cls(
            number=item.rank,
            id=shortened(item.id),
            title=item.title,
            path=redact_url(item.path),
            similarity=round(item.score, 3) + 0.0,  # never -0.0
            score=None if item.rerank_score is None else round(item.rerank_score, 3),
            reason=item.reason,
            metadata=facts_of(item.metadata),
        )


class FoundImages(BaseModel):
    """The results, best first; ``note`` says what is worth knowing about all of them."""

    results: list[FoundImage]
    note: str = ""


class ImageFacts(BaseModel):
    """What is known about one image; without width and height, its file cannot be read."""

    id: str
    title: str
    path: str = ""
    width: int | None = None
    height: int | None = None
    metadata: dict[str, Scalar] = Field(default_factory=dict)
    note: str = ""


class Refusal(BaseModel):
    """Why nothing was done, and what to do instead."""

    error: str


def search_images(ways: str, fields: Mapping[str, type]) -> type[SearchImages]:
    """Describe a search of one collection.

    Parameters
    ----------
    ways
        How an example image may be given.
    fields
        The typed metadata that filters can rely on.

    Examples
    --------
    >>> asked = search_images("the id of an earlier result", {"price": float})
    >>> asked.model_json_schema()["properties"]["image"]["description"]
    'An example image: the id of an earlier result.'
    """
    known = ", ".join(f"{name} ({kind.__name__})" for name, kind in fields.items())
    says = 'Conditions on metadata, as in: price < 40 and product in ["mug", "tote bag"]. '
    says += f"Fields: {known}." if known else "Fields: those in the metadata of results."
    return create_model(
        "search_images",
        __base__=SearchImages,
        __doc__=SearchImages.__doc__,
        image=(str | None, Field(None, max_length=LONGEST, description=f"An example image: {ways}.")),
        filters=(str | None, Field(None, max_length=2000, description=says)),
    )


def shortened(id: str) -> str:
    """Cut the hash of a content to what is still one of its kind, and can be copied.

    Examples
    --------
    >>> shortened("0123456789ab" + 52 * "f"), shortened("mug-7")
    ('0123456789ab', 'mug-7')
    """
    return id[:12] if re.fullmatch("[0-9a-f]{64}", id) else id


def facts_of(metadata: Mapping[str, Any]) -> dict[str, Scalar]:
    """Keep what a filter can compare, and is not told elsewhere."""
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(value, (str, int, float, bool)) and key not in TOLD_ELSEWHERE
    }
