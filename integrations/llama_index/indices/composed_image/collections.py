"""The collections of a database. In: its address. Out: each one's name, size, model and fields."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pymilvus has no types; its client is cast to Any.

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from llama_index.indices.composed_image.connection import answered, place_of
from llama_index.indices.composed_image.schema import COLUMNS, DIM, MODEL
from pymilvus import MilvusClient

from mmrag.errors import StoreError

__all__ = ["Shelf", "see_shelf", "shelves"]

TYPES: dict[Any, str] = {datatype: scalar.__name__ for scalar, datatype in COLUMNS.items()}
OWN = ("id", "doc_id", "text", "embedding")


@dataclass(frozen=True)
class Shelf:
    """One collection; ``model`` and ``dim`` are None when mmrag did not make it."""

    name: str
    images: int
    model: str | None
    dim: int | None
    fields: dict[str, str]


def shelves(db: str, token: str = "") -> list[Shelf]:
    """List what a database holds, by name; a Lite folder that is not there is not made.

    Raises
    ------
    StoreError
        When there is no such folder, or Milvus cannot be reached.
    """
    with _opened(db, token, "listing collections") as client:
        return [_shelf(client, name) for name in sorted(client.list_collections())]


def see_shelf(db: str, name: str, token: str = "") -> None:
    """See that a database holds a collection, before anything opens it and so makes it.

    Raises
    ------
    StoreError
        When it does not, or Milvus cannot be reached.
    """
    with _opened(db, token, "looking for the collection") as client:
        names = sorted(client.list_collections())
    if name not in names:
        there = f"but {', '.join(map(repr, names))}" if names else "and no other"
        raise StoreError(
            f"{place_of(db)} holds no collection {name!r}, {there}: give another --collection, "
            "or make this one with mmrag index"
        )


@contextmanager
def _opened(db: str, token: str, doing: str) -> Generator[Any]:
    place = place_of(db)
    if place.folder is not None and not place.folder.exists():
        raise StoreError(f"{db} does not exist: make it with mmrag index FOLDER --into {db}")
    with answered(place, doing):
        client = cast(Any, MilvusClient(uri=str(place.folder or db), token=token))
        try:
            yield client
        finally:
            client.close()


def _shelf(client: Any, name: str) -> Shelf:
    facts = client.describe_collection(name)
    tags = facts["properties"]
    fields = {field["name"]: field["type"] for field in facts["fields"] if field["name"] not in OWN}
    return Shelf(
        name=name,
        images=_count(client, name),
        model=tags.get(MODEL),
        dim=int(tags[DIM]) if DIM in tags else None,
        fields={name: TYPES.get(kind, str(kind)) for name, kind in fields.items()},
    )


def _count(client: Any, name: str) -> int:
    client.load_collection(name)  # a reopened collection is not loaded, and then cannot count
    return int(client.query(name, output_fields=["count(*)"])[0]["count(*)"])
