"""What went wrong, over HTTP. In: an error. Out: a status, and one line with the next step."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mmrag.errors import BusyError, ImageError, MMRagError, QueryError, SettingError

__all__ = ["answer_faults", "in_words"]

_log = logging.getLogger(__name__)

THEIRS = (QueryError, ImageError, SettingError)
"""Errors of who asks; the others are this server's, and may name its files."""


def answer_faults(app: FastAPI) -> None:
    """Let an app answer each error of ours as a `Fault`."""
    for kind in (MMRagError, TimeoutError):
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)


def in_words(error: Exception) -> str:
    """Say what went wrong to somebody who asks from outside."""
    if isinstance(error, TimeoutError):
        return "it took too long: ask for fewer results, or without reranking"
    if isinstance(error, (BusyError, *THEIRS)):
        return str(error)
    _log.error("a request failed", exc_info=error)
    return f"the server has a fault ({type(error).__name__}): its log says more"


async def _failed(_: Request, error: Exception) -> JSONResponse:
    match error:
        case BusyError():
            status, headers = 503, {"Retry-After": str(error.retry_after)}
        case TimeoutError():
            status, headers = 504, {}
        case _:
            status, headers = 422 if isinstance(error, THEIRS) else 500, {}
    return JSONResponse({"error": in_words(error)}, status, headers)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": "; ".join(faults)}, 422)
