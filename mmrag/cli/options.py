"""Options that several commands share; options that are left out come from `mmrag.settings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
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

_PANEL = "Index and models"

Database = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="DB", help="Milvus Lite folder (x.db), or a server's address.", rich_help_panel=_PANEL
    ),
]
Collection = Annotated[
    str | None, typer.Option("--collection", help="Collection in the database.", rich_help_panel=_PANEL)
]
Model = Annotated[
    str | None, typer.Option("--model", help="Encoder: demo, base-en-v1.5, m3, or a folder.", rich_help_panel=_PANEL)
]
Reranker = Annotated[
    str | None,
    typer.Option(
        "--reranker", help="Vision LLM: demo, a Phi-3 Vision name or folder, or a server's.", rich_help_panel=_PANEL
    ),
]
Rerank = Annotated[bool, typer.Option("--rerank/--no-rerank", help="Rerank the results by the vision LLM.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps.", rich_help_panel=_PANEL)]
Top = Annotated[int | None, typer.Option("--top", "-n", help="How many results.")]
Hosts = Annotated[
    list[str] | None, typer.Option("--host", help="Host from which images may be fetched; may be given again.")
]
Bind = Annotated[str, typer.Option("--bind", help="Address to listen on.")]
AccessToken = Annotated[
    str, typer.Option("--access-token", envvar="MMRAG_ACCESS_TOKEN", help="Shared secret required from clients.")
]
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

    Examples
    --------
    >>> from typing import Unpack
    >>> def find(text: str, **options: Unpack[SearchOptions]) -> None: ...
    >>> list(inspect.signature(expand_options(find)).parameters)
    ['text', 'collection', 'model', 'device', 'hosts', 'reranker', 'top']
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = [each for parameter in signature.parameters.values() for each in _expand(parameter)]
    command.__dict__["__signature__"] = signature.replace(parameters=parameters)
    return command


def _expand(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    if parameter.kind is not parameter.VAR_KEYWORD:
        yield parameter
        return
    (options,) = get_args(parameter.annotation)
    for name, option in get_type_hints(options, include_extras=True).items():
        yield inspect.Parameter(name, parameter.KEYWORD_ONLY, default=None, annotation=option)
