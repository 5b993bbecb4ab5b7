"""Arguments and results of the agent's tools, the same for LlamaIndex and MCP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from mmrag.filters import Scalar
from mmrag.results import RankedImage

__all__ = [
    "MAX_RESULTS",
    "DescribeImageInput",
    "ImageDetails",
    "SearchImagesInput",
    "SearchImagesOutput",
    "ToolError",
    "describe_errors",
    "scalar_metadata",
    "search_images_input",
]

MAX_RESULTS = 24  # with the query, as many as fit on one contact sheet
MAX_URI_LENGTH = 30_000_000  # characters of a data: URI; the policy limits the image itself


class SearchImagesInput(BaseModel):
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
    image: str | None = Field(None, max_length=MAX_URI_LENGTH, description="An example image.")
    top_n: int | None = Field(None, ge=1, le=MAX_RESULTS, description="How many images.")
    filters: str | None = Field(None, max_length=2000, description="Conditions on metadata.")


class DescribeImageInput(BaseModel):
    """Look at one image of the collection: all that is known about it, and the image itself."""

    model_config = ConfigDict(extra="forbid", title="describe_image")

    id: str = Field(min_length=1, description="The id of a result of search_images.")


class SearchImagesOutput(BaseModel):
    """Search results, best first; ``score`` is the cosine similarity, ``rerank_score`` the reranker's."""

    results: list[RankedImage]
    stage: Literal["retrieved", "reranked"] = "retrieved"
    degraded: bool = False
    note: str = ""


class ImageDetails(BaseModel):
    """What is known about one image; without width and height, its file cannot be read."""

    id: str
    title: str
    path: str = ""
    width: int | None = None
    height: int | None = None
    metadata: dict[str, Scalar] = Field(default_factory=dict)
    note: str = ""


class ToolError(BaseModel):
    """Why a call failed, and what to do instead."""

    error: str


def search_images_input(image_forms: str, columns: Mapping[str, type]) -> type[SearchImagesInput]:
    """Describe the search of one collection: the forms of an example image, and the typed columns for filters."""
    known = ", ".join(f"{name} ({kind.__name__})" for name, kind in columns.items())
    fields = known or "those in the metadata of results"
    filters = f'Conditions on metadata, as in: price < 40 and product in ["mug", "tote bag"]. Fields: {fields}.'
    return create_model(
        "search_images",
        __base__=SearchImagesInput,
        __doc__=SearchImagesInput.__doc__,
        image=(str | None, Field(None, max_length=MAX_URI_LENGTH, description=f"An example image: {image_forms}.")),
        filters=(str | None, Field(None, max_length=2000, description=filters)),
    )


def describe_errors(errors: Sequence[Any]) -> str:
    """Join the first five errors of a pydantic `ValidationError` in one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in errors[:5])


def scalar_metadata(metadata: Mapping[str, Any]) -> dict[str, Scalar]:
    """Keep the values that a filter can compare; lists of file names would reveal folders of this machine."""
    return {key: value for key, value in metadata.items() if isinstance(value, (str, int, float, bool))}
