"""Request and response bodies of the JSON API, and the reader of search requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mmrag.agent_tool.schema import describe_errors, scalar_metadata
from mmrag.results import RankedImage, RankedImages

__all__ = [
    "ID_PATTERN",
    "MAX_RESULTS",
    "SEARCH_BODY",
    "ErrorResponse",
    "LLMCallView",
    "ParsedQuery",
    "SearchRequest",
    "SearchResponse",
    "image_url",
    "read_search_request",
]

MAX_RESULTS = 50
JSON, FORM = "application/json", "multipart/form-data"
ID_PATTERN = r"^[^\"'\\/\x00-\x1f]{1,200}$"  # leads out of no quoted string and no folder


class SearchRequest(BaseModel):
    """A search by text, an image, or both; ``image`` is a data: URI, or in a form a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field("", max_length=2000, description="What is wanted, in words.")
    image_id: str | None = Field(
        None, pattern=ID_PATTERN, description="Id of an indexed image, or of an earlier upload."
    )
    image: str | SkipJsonSchema[bytes] | None = Field(None, description="An image of one's own, as a data: URI.")
    filter: str = Field("", max_length=2000, description='Of metadata: price < 40 and product == "mug".')
    top: int | None = Field(None, ge=1, le=MAX_RESULTS, description="How many results.")
    rerank: bool = Field(True, description="Let the vision LLM look at the results.")


class ParsedQuery(BaseModel):
    """The query as it was searched for; its ``image_id`` can be sent in a further request."""

    text: str
    image_id: str | None
    image_url: str | None
    filter: str
    top: int


class LLMCallView(BaseModel):
    """One call of the vision LLM: the URL of its composite image, its prompt, its answer."""

    url: str
    prompt: str
    answer: str


class SearchResponse(BaseModel):
    """Results, best first; ``failures`` say why they are not, or not completely, reranked."""

    query: ParsedQuery
    results: list[RankedImage]
    stage: Literal["retrieved", "reranked"]
    degraded: bool
    reason: str
    caption: str
    repairs: list[str]
    failures: list[str]
    unknown_words: list[str]
    timings_ms: dict[str, float]
    calls: list[LLMCallView]

    @classmethod
    def from_results(cls, found: RankedImages, query: ParsedQuery, composites: Sequence[str] = ()) -> SearchResponse:
        """Build the response; ``composites`` are the URLs of the composite images, one a call."""
        calls = zip(composites, found.calls, strict=True)
        return cls(
            query=query,
            results=[_publish(image) for image in found.results],
            stage=found.stage,
            degraded=found.degraded,
            reason=found.reason,
            caption=found.caption,
            repairs=list(found.repairs) if found.stage == "reranked" else [],
            failures=list(found.failures),
            unknown_words=list(found.unknown_words),
            timings_ms={stage: round(ms, 2) for stage, ms in found.timings_ms.items()},
            calls=[LLMCallView(url=url, prompt=call.prompt, answer=call.ranking.answer) for url, call in calls],
        )


class ErrorResponse(BaseModel):
    """What went wrong, and what to do next."""

    error: str


def image_url(id: str, folder: str = "images") -> str:
    """Return the URL of an image on this server."""
    return f"/{folder}/{quote(id, safe='')}"


async def read_search_request(request: Request) -> SearchRequest:
    """Read a search request from a JSON body or a form; HTTPException if it is neither, or does not fit the schema."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if content_type == JSON:
            return SearchRequest.model_validate_json(await request.body())
        if content_type == FORM:
            return SearchRequest.model_validate(await _read_form(request))
    except ValidationError as error:
        raise HTTPException(422, describe_errors(error.errors())) from error
    raise HTTPException(415, f"a search is sent as {JSON} or {FORM}, not as {content_type or 'nothing'}")


async def _read_form(request: Request) -> Mapping[str, Any]:
    async with request.form(max_files=1, max_fields=10) as form:
        fields: dict[str, Any] = {name: value for name, value in form.items() if value != ""}
        upload = fields.get("image")
        if isinstance(upload, UploadFile):
            fields["image"] = await upload.read()
            if not fields["image"] and not upload.filename:
                del fields["image"]  # browsers send an empty part if no file is chosen
    return fields


def _publish(image: RankedImage) -> RankedImage:
    """Replace the path on this server by a URL, and drop metadata that is no scalar."""
    public = {"path": image_url(image.id), "score": round(image.score, 6), "metadata": scalar_metadata(image.metadata)}
    return image.model_copy(update=public)


def _form_schema() -> dict[str, Any]:
    """Derive the schema of the form: the image is a file, and optional fields have no null."""
    schema = SearchRequest.model_json_schema()
    # {"anyOf": [{"type": "integer"}, {"type": "null"}], …} to {"type": "integer", …}
    fields = {name: field.pop("anyOf", [{}])[0] | field for name, field in schema["properties"].items()}
    fields["image"] = {"type": "string", "format": "binary", "description": "An image file."}
    return schema | {"properties": fields}


SEARCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": SearchRequest.model_json_schema()}, FORM: {"schema": _form_schema()}},
    }
}
"""OpenAPI description of the body, JSON or form, which FastAPI cannot derive."""
