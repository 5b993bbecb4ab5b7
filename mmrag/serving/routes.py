"""The addresses of a server. In: requests. Out: the page, answers, images, health, metrics."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from mmrag.errors import ImageError, MMRagError
from mmrag.results import RankedImages
from mmrag.serving.asking import BODY, read_question
from mmrag.serving.faults import in_words
from mmrag.serving.schema import ID, MOST, Answer, Asked, Fault
from mmrag.serving.service import Site

__all__ = ["router"]

LINES = "application/x-ndjson"
SIDES = {"small": 384, "large": 1024}
SAMPLES = 9
FRESH = {"Cache-Control": "no-store"}

Id = Annotated[str, InPath(pattern=ID)]
Size = Literal["small", "large"]


def _site(request: Request) -> Site:
    return cast(Site, request.app.state.site)


Here = Annotated[Site, Depends(_site)]

Told = dict[int | str, dict[str, Any]]
FAULTS: Told = {
    413: {"model": Fault, "description": "The image is too large."},
    415: {"model": Fault, "description": "The body is neither JSON nor a form."},
    422: {"model": Fault, "description": "The question cannot be searched for."},
    503: {"model": Fault, "description": "Too many ask at once; see Retry-After."},
    504: {"model": Fault, "description": "It took too long."},
}
IMAGE: Told = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "It is what you have."},
    404: {"model": Fault, "description": "There is no such image."},
    422: {"model": Fault, "description": "That is no id, or no size."},
}
ANSWER: Told = {200: {"model": Answer, "content": {LINES: {"schema": {"type": "string"}}}}}

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page(site: Here) -> HTMLResponse:
    """Show the search page."""
    store = site.searcher.index.vector_store
    samples = await site.drawing.run(lambda: site.indexed.some(SAMPLES), site.limits.seconds)
    html = (
        _templates()
        .get_template("page.html")
        .render(
            collection=store.collection_name,
            encoder=site.searcher.encoder.info.name,
            samples=samples,
            top=min(site.searcher.settings.top, MOST),
            most=MOST,
            rerank=site.limits.rerank,
            upload_bytes=site.limits.upload_bytes,
        )
    )
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


@router.post(
    "/search",
    response_model=Answer,
    responses=ANSWER | FAULTS,
    openapi_extra=BODY,
    summary="Search by a sentence, an image, or both",
)
async def search(request: Request, site: Here) -> Response:
    """Answer once; or, when lines are accepted, once after retrieval and again after reranking.

    Lines are asked for by the header `Accept: application/x-ndjson`: each is an Answer.
    """
    async with asyncio.timeout(site.limits.seconds):  # a body may drip
        question, image = await read_question(request)
    found, asked = await site.retrieve(question, image)
    rerank = question.rerank and site.limits.rerank and bool(found.results)
    if LINES in request.headers.get("accept", ""):
        lines = _lines(site, found, asked, rerank)
        return StreamingResponse(lines, media_type=LINES, headers=FRESH)
    answer = await _reranked(site, found, asked) if rerank else Answer.of(found, asked)
    return JSONResponse(answer.model_dump(), headers=FRESH)


@router.get("/images/{id}", responses=IMAGE, response_class=Response)
async def image(request: Request, site: Here, id: Id, size: Size = "small") -> Response:
    """Give an indexed image, as a square JPEG."""
    try:
        data = await site.drawing.run(lambda: site.indexed.thumbnail(id, SIDES[size]), site.limits.seconds)
    except ImageError as error:
        raise HTTPException(404, "this index has no such image, or its file is gone") from error
    return _cached(request, data)


@router.get("/uploads/{id}", responses=IMAGE, response_class=Response)
async def upload(request: Request, site: Here, id: Id) -> Response:
    """Give the image of an earlier search back to who knows its id."""
    file = site.uploads.file(id)
    if file is None:
        raise HTTPException(404, "this image is no longer kept: send it again")
    return _cached(request, file.read_bytes(), "image/png")


@router.get("/looks/{name}", responses=IMAGE, response_class=Response)
async def look(request: Request, site: Here, name: Id) -> Response:
    """Give the composite image that a vision LLM saw."""
    data = site.look(name)
    if data is None:
        raise HTTPException(404, "this composite is no longer kept: search again")
    return _cached(request, data)


@router.get("/health", responses={503: {"model": Fault}})
async def health(site: Here) -> dict[str, str | int]:
    """Tell whether the index can be read, and how many images it holds."""
    count = site.searcher.index.vector_store.count
    images = await site.drawing.run(count, site.limits.seconds)
    return {"status": "ok", "images": images, "waiting": site.encoder.taken + site.vision.taken}


@router.get("/metrics", response_class=Response)
async def metrics(site: Here) -> Response:
    """Tell what was done so far, in Prometheus' format."""
    return Response(site.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _lines(site: Site, found: RankedImages, asked: Asked, rerank: bool) -> AsyncIterator[str]:
    yield Answer.of(found, asked).model_dump_json() + "\n"
    if rerank:
        try:
            answer = await _reranked(site, found, asked)
        except (MMRagError, TimeoutError) as error:
            answer = Answer.of(found, asked, error=in_words(error))
        yield answer.model_dump_json() + "\n"


async def _reranked(site: Site, found: RankedImages, asked: Asked) -> Answer:
    reranked, looks = await site.rerank(found)
    return Answer.of(reranked, asked, [f"/looks/{name}" for name in looks])


def _cached(request: Request, data: bytes, kind: str = "image/jpeg") -> Response:
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=3600"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(loader=PackageLoader("mmrag.serving", "static"), autoescape=True, undefined=StrictUndefined)
