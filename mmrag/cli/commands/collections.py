"""`mmrag collections`: what a database holds, and which encoder made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmrag.cli.console import results, write_json
from mmrag.cli.options import Json

if TYPE_CHECKING:
    from llama_index.indices.composed_image.collections import Shelf

__all__ = ["collections"]


def collections(
    db: Annotated[str | None, typer.Argument(metavar="DB", help="Milvus Lite folder, or a server's address.")] = None,
    as_json: Json = False,
) -> None:
    """List the collections of a database.

    Example: mmrag collections shop.db
    """
    from dataclasses import asdict

    from llama_index.indices.composed_image.collections import shelves

    from mmrag.settings import read_settings

    settings = read_settings(db=db)
    found = shelves(settings.db, settings.token.get_secret_value())
    if as_json:
        write_json([asdict(shelf) for shelf in found])
    elif found:
        _show(found)
    else:
        results().print(f"{settings.where} holds no collection yet: mmrag index FOLDER --into {settings.where}")


def _show(found: list[Shelf]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("collection")
    table.add_column("images", justify="right")
    table.add_column("model")
    table.add_column("dim", justify="right")
    table.add_column("fields to filter by")
    for shelf in found:
        fields = ", ".join(f"{name}: {kind}" for name, kind in shelf.fields.items())
        dim = str(shelf.dim or "?")
        table.add_row(shelf.name, str(shelf.images), shelf.model or "not mmrag's", dim, fields)
    results().print(table)
