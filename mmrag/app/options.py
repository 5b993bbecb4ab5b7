"""Options that several commands share. What is left out comes from `mmrag.app.settings`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "AccessToken",
    "Bind",
    "Collection",
    "Database",
    "Device",
    "Hosts",
    "Json",
    "Model",
    "Rerank",
    "Reranker",
    "Top",
]

Database = Annotated[
    str | None,
    typer.Option("--db", metavar="DB", help="Milvus Lite folder (x.db), or a server's address."),
]
Collection = Annotated[
    str | None, typer.Option("--collection", help="Collection in the database.", show_default=False)
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Encoder: demo, base-en-v1.5, m3, or a folder."),
]
Reranker = Annotated[
    str | None,
    typer.Option(
        "--reranker", help="Vision LLM: demo, a Phi-3 Vision name or folder, or a server's."
    ),
]
Rerank = Annotated[
    bool, typer.Option("--rerank/--no-rerank", help="Let the vision LLM look at the results.")
]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps.")]
Top = Annotated[int | None, typer.Option("--top", "-n", help="How many results.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", help="Host from which pictures may be fetched; may be given again."),
]
Bind = Annotated[str, typer.Option("--bind", help="Address to listen on.")]
AccessToken = Annotated[
    str,
    typer.Option("--access-token", envvar="MMRAG_ACCESS_TOKEN", help="What visitors must know."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on stdout, for machines.")]
