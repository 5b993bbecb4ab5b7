"""Options that several commands share; options that are left out come from `mmrag.settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, TypedDict, get_args, get_type_hints

import typer

__all__ = [
    "AccessToken",
    "Bind",
    "Collection",
    "Database",
    "Device",
    "Hosts",
    "IndexOptions",
    "Json",
    "Model",
    "Rerank",
    "Reranker",
    "SearchOptions",
    "Top",
    "expand_options",
]

# An option without a name is called like its parameter.
_shared = partial(typer.Option, rich_help_panel="Index and models")

Database = Annotated[str | None, _shared(metavar="DB", help="Milvus Lite folder (x.db), or a server's address.")]
Collection = Annotated[str | None, _shared(help="Collection in the database.")]
Model = Annotated[str | None, _shared(help="Encoder: demo, base-en-v1.5, m3, or a folder.")]
Reranker = Annotated[str | None, _shared(help="Vision LLM: demo, a Phi-3 Vision name or folder, or a server's.")]
Device = Annotated[str | None, _shared(help="cpu, cuda, cuda:1, mps.")]
Rerank = Annotated[bool, typer.Option(help="Rerank the results by the vision LLM.")]
Top = Annotated[int | None, typer.Option("--top", "-n", help="How many results.")]
Hosts = Annotated[
    list[str] | None, typer.Option("--host", help="Host from which images may be fetched; may be given again.")
]
Bind = Annotated[str, typer.Option(help="Address to listen on.")]
AccessToken = Annotated[str, typer.Option(envvar="MMRAG_ACCESS_TOKEN", help="Shared secret required from clients.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


class IndexOptions(TypedDict):
    """Options of commands that write an index; None where not given."""

    collection: Collection
    model: Model
    device: Device
    hosts: Hosts


class SearchOptions(IndexOptions):
    """Options of commands that search an index."""

    reranker: Reranker
    top: Top


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a signature in which ``**options: Unpack[SearchOptions]`` is one parameter per option.

    Typer does not support ``Unpack``.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = list(signature.parameters.values())
    if parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        (options,) = get_args(parameters.pop().annotation)
        for name, option in get_type_hints(options, include_extras=True).items():
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option))
    command.__dict__["__signature__"] = signature.replace(parameters=parameters)
    return command
