"""Options that several commands share. What is left out comes from `mmrag.settings`."""

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
    "Indexing",
    "Json",
    "Model",
    "Rerank",
    "Reranker",
    "Searching",
    "Top",
    "spelled_out",
]

_SHARED = "Index and models"

Database = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="DB", help="Milvus Lite folder (x.db), or a server's address.", rich_help_panel=_SHARED
    ),
]
Collection = Annotated[
    str | None, typer.Option("--collection", help="Collection in the database.", rich_help_panel=_SHARED)
]
Model = Annotated[
    str | None, typer.Option("--model", help="Encoder: demo, base-en-v1.5, m3, or a folder.", rich_help_panel=_SHARED)
]
Reranker = Annotated[
    str | None,
    typer.Option(
        "--reranker", help="Vision LLM: demo, a Phi-3 Vision name or folder, or a server's.", rich_help_panel=_SHARED
    ),
]
Rerank = Annotated[bool, typer.Option("--rerank/--no-rerank", help="Let the vision LLM look at the results.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps.", rich_help_panel=_SHARED)]
Top = Annotated[int | None, typer.Option("--top", "-n", help="How many results.")]
Hosts = Annotated[
    list[str] | None, typer.Option("--host", help="Host from which images may be fetched; may be given again.")
]
Bind = Annotated[str, typer.Option("--bind", help="Address to listen on.")]
AccessToken = Annotated[
    str, typer.Option("--access-token", envvar="MMRAG_ACCESS_TOKEN", help="What visitors must know.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on stdout, for machines.")]


class Indexing(TypedDict):
    """With what an index is made, wherever it is: settings by name, None where not given."""

    collection: Collection
    model: Model
    device: Device
    hosts: Hosts


class Searching(Indexing):
    """With what an index is searched."""

    reranker: Reranker
    top: Top


def spelled_out(command: Callable[..., None]) -> Callable[..., None]:
    """Show typer, which knows no ``**given: Unpack[Searching]``, each option in it.

    Examples
    --------
    >>> from typing import Unpack
    >>> def find(text: str, **given: Unpack[Searching]) -> None: ...
    >>> list(inspect.signature(spelled_out(find)).parameters)
    ['text', 'collection', 'model', 'device', 'hosts', 'reranker', 'top']
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = [each for one in signature.parameters.values() for each in _spelled_out(one)]
    command.__dict__["__signature__"] = signature.replace(parameters=parameters)
    return command


def _spelled_out(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    if parameter.kind is not parameter.VAR_KEYWORD:
        yield parameter
        return
    (given,) = get_args(parameter.annotation)
    for name, option in get_type_hints(given, include_extras=True).items():
        yield inspect.Parameter(name, parameter.KEYWORD_ONLY, default=None, annotation=option)
