"""`mmrag mcp`: image search as tools of an MCP client, over stdio or HTTP."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import stderr_console, write_json
from mmrag.cli.options import AccessToken, Bind, Database, Json, Rerank, SearchOptions
from mmrag.errors import require

if TYPE_CHECKING:
    from mmrag.search import ImageSearcher

__all__ = ["mcp"]


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP, not over stdin and stdout.")] = False,
    bind: Bind = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 8766,
    access_token: AccessToken = "",
    root: Annotated[
        list[Path] | None,
        typer.Option(exists=True, file_okay=False, help="Folder whose images may be named; may be given again."),
    ] = None,
    thumbnails: Annotated[bool, typer.Option(help="Show the results as images.")] = True,
    rerank: Rerank = True,
    db: Database = None,
    as_json: Json = False,
    **options: Unpack[SearchOptions],
) -> None:
    """Serve image search to an MCP client: it starts this command, or connects to --http.

    Example: mmrag mcp --db shop.db
    """
    require("mcp", extra="mcp", feature="mmrag mcp")
    from mmrag.serving.security import bind_socket, run_server, server_url
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **options)
    listening = bind_socket(bind, port, access_token) if http else None
    with redirect_stdout(sys.stderr), stderr_console().status("loading the models"):
        from llama_index.postprocessor.llvm_rerank import LLVMRerank

        from mmrag.agent_tool.tool import ImageSearch
        from mmrag.search import ImageSearcher
        from mmrag.serving import mcp as mcp_server

        searcher = ImageSearcher.open(settings)
        engine = searcher.index.as_query_engine(
            similarity_top_k=settings.top, node_postprocessors=[LLVMRerank(llm=searcher.reranker)] if rerank else []
        )
        search = ImageSearch(engine, replace(searcher.policy, roots=root or ()))
        server = mcp_server.create_server(search, thumbnails=thumbnails)
    with searcher:
        if listening is None:
            import anyio

            _exit_on_signals(searcher)
            anyio.run(mcp_server.serve_stdio, server)
            return
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))  # after uvicorn's own shutdown
        url = f"{server_url(bind, listening)}/mcp"
        if as_json:
            write_json({"url": url})
        else:
            stderr_console().print(f"MCP at {url}   (Ctrl-C stops)", soft_wrap=True)
        with listening:
            run_server(listening, mcp_server.http_app(server, bind=bind, token=access_token))


def _exit_on_signals(searcher: ImageSearcher) -> None:
    """Close the index and exit at once, although a thread still reads stdin."""

    def leave(*_: object) -> None:
        searcher.close()
        os._exit(0)  # sys.exit would wait for that thread

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
