"""HTTP routes and error responses: the page, search, images, health, metrics."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from mmrag.agent_tool.schema import describe_errors
from mmrag.errors import BusyError, ImageError, MMRagError, QueryError, SettingError
from mmrag.results import RankedImages
from mmrag.serving.schema import (
    ID_PATTERN,
    MAX_RESULTS,
    SEARCH_BODY,
    ErrorResponse,
    ParsedQuery,
    SearchResponse,
    read_search_request,
)
from mmrag.serving.service import SearchService, encode_image

__all__ = ["HANDLED_ERRORS", "handle_error", "router"]

_log = logging.getLogger(__name__)

TEMPLATES = Environment(loader=PackageLoader("mmrag.serving", "static"), autoescape=True, undefined=StrictUndefined)
NDJSON = "application/x-ndjson"
SIDES = {"small": 384, "large": 1024}  # pixels
SAMPLES = 9
NO_STORE = {"Cache-Control": "no-store"}
HANDLED_ERRORS = (MMRagError, TimeoutError, HTTPException, RequestValidationError)
CLIENT_ERRORS = (QueryError, ImageError, SettingError)  # the others are this server's, and may name its files

Id = Annotated[str, PathParameter(pattern=ID_PATTERN)]
Size = Literal["small", "large"]


def _get_service(request: Request) -> SearchService:
    return cast(SearchService, request.app.state.service)


Service = Annotated[SearchService, Depends(_get_service)]

Responses = dict[int | str, dict[str, Any]]
SEARCH_RESPONSES: Responses = {
    200: {"model": SearchResponse, "content": {NDJSON: {"schema": {"type": "string"}}}},
    413: {"model": ErrorResponse, "description": "The image is too large."},
    415: {"model": ErrorResponse, "description": "The body is neither JSON nor a form."},
    422: {"model": ErrorResponse, "description": "The query is invalid."},
    503: {"model": ErrorResponse, "description": "There are too many requests; see Retry-After."},
    504: {"model": ErrorResponse, "description": "It took too long."},
}
IMAGE_RESPONSES: Responses = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has it already."},
    404: {"model": ErrorResponse, "description": "There is no such image."},
    422: {"model": ErrorResponse, "description": "The id or the size is invalid."},
}

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page(service: Service) -> HTMLResponse:
    """Return the search page."""
    searcher, limits = service.searcher, service.limits
    samples = await service.image_queue.run(lambda: service.images.sample(SAMPLES), limits.timeout)
    html = TEMPLATES.get_template("page.html").render(
        collection=searcher.index.vector_store.collection_name,
        encoder=searcher.encoder.info.name,
        samples=samples,
        top=min(searcher.settings.top, MAX_RESULTS),
        max_results=MAX_RESULTS,
        rerank=limits.rerank,
        upload_bytes=limits.upload_bytes,
    )
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


@router.post(
    "/search",
    response_model=SearchResponse,
    responses=SEARCH_RESPONSES,
    openapi_extra=SEARCH_BODY,
    summary="Search by a sentence, an image, or both",
)
async def search(request: Request, service: Service) -> Response:
    """Respond once; or, with the header `Accept: application/x-ndjson`, after retrieval and again after reranking.

    Each line of NDJSON is a SearchResponse.
    """
    async with asyncio.timeout(service.limits.timeout):  # a body may come slowly
        body = await read_search_request(request)
    found, query = await service.retrieve(body)
    rerank = body.rerank and service.limits.rerank and bool(found.results)
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(_stream(service, found, query, rerank), media_type=NDJSON, headers=NO_STORE)
    response = await _rerank(service, found, query) if rerank else SearchResponse.from_results(found, query)
    return JSONResponse(response.model_dump(mode="json"), headers=NO_STORE)


@router.get("/images/{id}", responses=IMAGE_RESPONSES, response_class=Response)
async def image(request: Request, service: Service, id: Id, size: Size = "small") -> Response:
    """Return an indexed image as a square JPEG."""
    try:
        data = await service.image_queue.run(lambda: service.images.thumbnail(id, SIDES[size]), service.limits.timeout)
    except ImageError as error:
        raise HTTPException(404, "this index has no such image, or its file is gone") from error
    return _cacheable(request, data)


@router.get("/uploads/{id}", responses=IMAGE_RESPONSES, response_class=Response)
async def upload(request: Request, service: Service, id: Id) -> Response:
    """Return the query image of an earlier search as PNG."""
    image = service.uploads.get(id)
    if image is None:
        raise HTTPException(404, "this image is no longer kept: send it again")
    data = await service.image_queue.run(lambda: encode_image(image, "PNG"), service.limits.timeout)
    return _cacheable(request, data, "image/png")


@router.get("/composites/{name}", responses=IMAGE_RESPONSES, response_class=Response)
async def composite(request: Request, service: Service, name: Id) -> Response:
    """Return a composite image that the vision LLM saw."""
    data = service.composites.get(name)
    if data is None:
        raise HTTPException(404, "this composite is no longer kept: search again")
    return _cacheable(request, data)


@router.get("/health", responses={503: {"model": ErrorResponse}})
async def health(service: Service) -> dict[str, str | int]:
    """Report that the index can be read, how many images it holds, and how many searches are in flight."""
    images = await service.image_queue.run(service.searcher.index.vector_store.count, service.limits.timeout)
    in_flight = service.encoder_queue.in_flight + service.reranker_queue.in_flight
    return {"status": "ok", "images": images, "in_flight": in_flight}


@router.get("/metrics", response_class=Response)
async def metrics(service: Service) -> Response:
    """Return the metrics in the Prometheus text format."""
    return Response(service.metrics.render(), media_type=CONTENT_TYPE_LATEST)


async def handle_error(_: Request, error: Exception) -> JSONResponse:
    """Respond to an error with an `ErrorResponse`."""
    headers = None
    match error:
        case HTTPException():
            status, message, headers = error.status_code, error.detail, error.headers
        case RequestValidationError():
            status, message = 422, describe_errors(error.errors())
        case BusyError():
            status, message, headers = 503, _error_message(error), {"Retry-After": str(error.retry_after)}
        case _:
            status = 422 if isinstance(error, CLIENT_ERRORS) else 504 if isinstance(error, TimeoutError) else 500
            message = _error_message(error)
    return JSONResponse({"error": message}, status, headers)


def _error_message(error: Exception) -> str:
    """Return the message of an error for clients; errors of this server are logged, and only named."""
    if isinstance(error, TimeoutError):
        return "it took too long: ask for fewer results, or without reranking"
    if isinstance(error, (BusyError, *CLIENT_ERRORS)):
        return str(error)
    _log.error("a request failed", exc_info=error)
    return f"the server has a fault ({type(error).__name__}): its log says more"


async def _stream(service: SearchService, found: RankedImages, query: ParsedQuery, rerank: bool) -> AsyncIterator[str]:
    yield SearchResponse.from_results(found, query).model_dump_json() + "\n"
    if rerank:
        try:
            response = await _rerank(service, found, query)
        except (MMRagError, TimeoutError) as error:
            failed = found.model_copy(update={"failures": (_error_message(error),)})
            response = SearchResponse.from_results(failed, query)
        yield response.model_dump_json() + "\n"


async def _rerank(service: SearchService, found: RankedImages, query: ParsedQuery) -> SearchResponse:
    reranked, composites = await service.rerank(found)
    return SearchResponse.from_results(reranked, query, composites)


def _cacheable(request: Request, data: bytes, media_type: str = "image/jpeg") -> Response:
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=3600"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)
