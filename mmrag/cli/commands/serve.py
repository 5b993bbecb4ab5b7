"""`mmrag serve`: the search page and its JSON API."""

from __future__ import annotations

from typing import Annotated, Unpack
from urllib.parse import urlencode

import typer

from mmrag.cli.console import stderr_console, write_json
from mmrag.cli.options import AccessToken, Bind, Database, Json, Rerank, SearchOptions
from mmrag.errors import require

__all__ = ["serve"]


def serve(
    bind: Bind = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 8765,
    access_token: AccessToken = "",
    places: Annotated[int, typer.Option("--places", min=1, help="Searches that may wait; more get a 503.")] = 8,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that each step may take.")] = 120,
    rerank: Rerank = True,
    db: Database = None,
    as_json: Json = False,
    **options: Unpack[SearchOptions],
) -> None:
    """Serve the search page and its JSON API until Ctrl-C.

    Example: mmrag serve --db shop.db
    """
    for module in ("uvicorn", "fastapi", "python_multipart", "prometheus_client"):
        require(module, extra="web", feature="mmrag serve")
    from mmrag.serving.listening import address, listen, serve_on
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **options)
    listening = listen(bind, port, access_token)
    with stderr_console().status("loading the models"):
        from mmrag.search import ImageSearcher
        from mmrag.serving.app import create_app
        from mmrag.serving.service import Limits

        searcher = ImageSearcher.open(settings)
        if rerank:
            _ = searcher.reranker  # loaded before the first request
    with listening, searcher:
        app = create_app(searcher, Limits(places=places, seconds=timeout, rerank=rerank), token=access_token)
        entry = f"?{urlencode({'token': access_token})}" if access_token else ""
        url = f"{address(bind, listening)}/{entry}"
        if as_json:
            write_json({"url": url})
        else:
            stderr_console().print(f"open {url}   (Ctrl-C stops)", soft_wrap=True)
        serve_on(listening, app)
