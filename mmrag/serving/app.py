"""The search page as an ASGI app. In: a searcher, limits, a token. Out: what uvicorn serves."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from mmrag.search import ImageSearcher
from mmrag.serving.faults import answer_faults
from mmrag.serving.metrics import Counted
from mmrag.serving.routes import router
from mmrag.serving.security import Guard
from mmrag.serving.service import Limits, Site

__all__ = ["create_app"]

ROOM = 200_000
"""Bytes that a request may have beside its image, which as a data URI is a third larger."""


def create_app(searcher: ImageSearcher, limits: Limits | None = None, *, token: str = "") -> FastAPI:
    """Make the app; closing the searcher is left to the caller.

    Parameters
    ----------
    searcher
        Its models are shared by everybody who asks.
    limits
        How much is served.
    token
        What callers must know; when empty, only callers from this machine are answered.
    """
    limits = limits or Limits()
    site = Site(searcher, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        site.close()

    app = FastAPI(
        title="mmrag",
        summary="Search images by an image and a sentence",
        version=version("mmrag"),
        docs_url=None,  # both pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.site = site
    app.include_router(router)
    app.mount("/page", StaticFiles(directory=Path(__file__).parent / "static"), name="page")
    app.add_middleware(Guard, token=token, max_bytes=limits.upload_bytes * 4 // 3 + ROOM)
    app.add_middleware(Counted, metrics=site.metrics)
    answer_faults(app)
    return app
