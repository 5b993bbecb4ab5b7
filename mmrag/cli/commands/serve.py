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
    queue_size: Annotated[int, typer.Option("--queue-size", min=1, help="Searches in flight; more get a 503.")] = 8,
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
    from mmrag.serving.security import bind_socket, run_server, server_url
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **options)
    listening = bind_socket(bind, port, access_token)
    with stderr_console().status("loading the models"):
        from mmrag.search import ImageSearcher
        from mmrag.serving.app import create_app
        from mmrag.serving.service import Limits

        searcher = ImageSearcher.open(settings)
        if rerank:
            _ = searcher.reranker  # loaded before the first request
    with listening, searcher:
        app = create_app(searcher, Limits(queue_size=queue_size, timeout=timeout, rerank=rerank), token=access_token)
        entry = f"?{urlencode({'token': access_token})}" if access_token else ""
        url = f"{server_url(bind, listening)}/{entry}"
        if as_json:
            write_json({"url": url})
        else:
            stderr_console().print(f"open {url}   (Ctrl-C stops)", soft_wrap=True)
        run_server(listening, app)
