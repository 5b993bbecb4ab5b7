"""ASGI app of the search page and its JSON API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from mmrag.search import ImageSearcher
from mmrag.serving.metrics import MetricsMiddleware
from mmrag.serving.routes import HANDLED_ERRORS, handle_error, router
from mmrag.serving.security import SecurityMiddleware
from mmrag.serving.service import Limits, SearchService

__all__ = ["create_app"]

MAX_FORM_OVERHEAD = 200_000  # bytes of a request beside its image


def create_app(searcher: ImageSearcher, limits: Limits | None = None, *, token: str = "") -> FastAPI:
    """Create the app; the caller closes the searcher. Without a token, only clients of this machine are served."""
    limits = limits or Limits()
    service = SearchService(searcher, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        service.close()

    app = FastAPI(
        title="mmrag",
        summary="Search images by an image and a sentence",
        version=version("mmrag"),
        docs_url=None,  # both pages load scripts from another server
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers=dict.fromkeys(HANDLED_ERRORS, handle_error),
    )
    app.state.service = service
    app.include_router(router)
    app.mount("/page", StaticFiles(directory=Path(__file__).parent / "static"), name="page")
    # as a data: URI, an image is a third larger
    app.add_middleware(SecurityMiddleware, token=token, max_bytes=limits.upload_bytes * 4 // 3 + MAX_FORM_OVERHEAD)
    app.add_middleware(MetricsMiddleware, metrics=service.metrics)
    return app
