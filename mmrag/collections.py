"""The collections of a Milvus: their names, sizes, encoders and metadata columns."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from llama_index.indices.composed_image.connection import parse_uri, translate_errors
from llama_index.indices.composed_image.schema import COLUMN_TYPES, DIM, MODEL, OWN_COLUMNS
from pymilvus import MilvusClient

from mmrag.errors import StoreError

__all__ = ["CollectionInfo", "list_collections", "require_collection"]

TYPE_NAMES: dict[Any, str] = {datatype: scalar.__name__ for scalar, datatype in COLUMN_TYPES.items()}


@dataclass(frozen=True)
class CollectionInfo:
    """Name, number of rows, encoder and metadata columns of a collection."""

    name: str
    images: int
    model: str | None  # None, as the length of the vectors, if mmrag did not create it
    dim: int | None
    fields: dict[str, str]  # type of each metadata column


def list_collections(db: str, token: str = "") -> list[CollectionInfo]:
    """List the collections of a database, by name; raises `StoreError` for a Lite folder that does not exist."""
    with _open_client(db, token, "listing collections") as client:
        return [_describe(client, name) for name in sorted(client.list_collections())]


def require_collection(db: str, name: str, token: str = "") -> None:
    """Raise `StoreError` unless a database holds a collection; opening one would create it."""
    with _open_client(db, token, "looking for the collection") as client:
        names = sorted(client.list_collections())
    if name not in names:
        others = f"but {', '.join(map(repr, names))}" if names else "and no other"
        raise StoreError(
            f"{parse_uri(db)} holds no collection {name!r}, {others}: give another --collection, "
            "or make this one with mmrag index"
        )


@contextmanager
def _open_client(db: str, token: str, operation: str) -> Generator[Any]:
    connection = parse_uri(db)
    if connection.folder is not None and not os.path.exists(connection.folder):
        raise StoreError(f"{db} does not exist: make it with mmrag index FOLDER --into {db}")
    with translate_errors(connection, operation):
        client = cast(Any, MilvusClient(uri=str(connection.folder or db), token=token))
        try:
            yield client
        finally:
            client.close()


def _describe(client: Any, name: str) -> CollectionInfo:
    description = client.describe_collection(name)
    tags = description["properties"]
    client.load_collection(name)  # a reopened collection is not loaded, and then cannot count
    return CollectionInfo(
        name=name,
        images=int(client.query(name, output_fields=["count(*)"])[0]["count(*)"]),
        model=tags.get(MODEL),
        dim=int(tags[DIM]) if DIM in tags else None,
        fields={
            field["name"]: TYPE_NAMES.get(field["type"], str(field["type"]))
            for field in description["fields"]
            if field["name"] not in OWN_COLUMNS
        },
    )
