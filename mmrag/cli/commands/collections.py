"""`mmrag collections`: the collections of a database and the encoders that made them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from mmrag.cli.console import print_table, stdout_console, write_json
from mmrag.cli.options import Json

__all__ = ["collections"]


def collections(
    db: Annotated[str | None, typer.Argument(metavar="DB", help="Milvus Lite folder, or a server's address.")] = None,
    as_json: Json = False,
) -> None:
    """List the collections of a database.

    Example: mmrag collections shop.db
    """
    from mmrag.collections import list_collections
    from mmrag.settings import read_settings

    settings = read_settings(db=db)
    found = list_collections(settings.db, settings.token.get_secret_value())
    if as_json:
        write_json([asdict(each) for each in found])
    elif found:
        headings = ["collection", "images", "model", "dim", "fields to filter by"]
        fields = [", ".join(f"{name}: {kind}" for name, kind in each.fields.items()) for each in found]
        rows = [
            [each.name, str(each.images), each.model or "not mmrag's", str(each.dim or "?"), listed]
            for each, listed in zip(found, fields, strict=True)
        ]
        print_table(headings, rows, left=["model", "fields to filter by"])
    else:
        stdout_console().print(f"{settings.where} holds no collection yet: mmrag index FOLDER --into {settings.where}")
