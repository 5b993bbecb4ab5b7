"""A `MilvusVectorStore` opened right. In: where, and whose vectors. Out: a store that stays so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr, TypeAdapter, ValidationError
from llama_index.core.schema import BaseNode, ImageNode
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from llama_index.indices.composed_image.collection import (
    IDENTITY,
    INDEXES,
    LONGEST_TEXT,
    ScalarType,
    check,
    columns_of,
    make,
)
from llama_index.indices.composed_image.filters import checked
from llama_index.indices.composed_image.place import Place, answered, patiently, place_of
from llama_index.vector_stores.milvus import MilvusVectorStore
from pymilvus import MilvusClient

from mmrag.errors import StoreError, StoreMismatchError

__all__ = ["PictureStore", "ScalarType", "milvus_store"]

LAX = ConfigDict(coerce_numbers_to_str=True)


def milvus_store(
    uri: str | os.PathLike[str],
    collection: str,
    dim: int,
    *,
    model: str,
    token: str | None = None,
    scalar_fields: Mapping[str, ScalarType] | None = None,
    index_type: str | None = None,
) -> PictureStore:
    """Open a collection, or make it: cosine similarity, upserts, and a tag of who made its vectors.

    Parameters
    ----------
    uri
        A Milvus Lite folder (``catalogue.db``), or the URI of a server or of Zilliz Cloud.
    collection
        Name of the collection.
    dim, model
        Length of the vectors, and name of the encoder that makes them.
    token
        For servers that ask for one; it is handed to the client and kept nowhere else.
    scalar_fields
        Metadata to keep in typed columns (``{"price": float}``): filters on them are several times
        faster than on other metadata. Only read when the collection is made.
    index_type
        ``"HNSW"`` by default on a server and ``"FLAT"`` on Lite, which rebuilds HNSW after a crash.

    Raises
    ------
    StoreMismatchError
        When the collection was made by another encoder, or lacks a declared column.
    StoreLockedError
        When another process has the Lite folder open.
    StoreError
        When Milvus cannot be reached, or refuses.
    """
    place = place_of(uri)
    kind = index_type or ("HNSW" if place.folder is None else "FLAT")
    if kind not in INDEXES:
        raise StoreError(f"index type {kind!r} is not supported: choose {', '.join(INDEXES)}")
    if place.folder is not None:
        place.folder.parent.mkdir(parents=True, exist_ok=True)
    scalars = dict(scalar_fields or {})
    address = str(place.folder or uri)
    with answered(place, f"opening collection {collection!r}"):
        client = MilvusClient(uri=address, token=token or "")
        if collection not in cast("list[str]", client.list_collections()):
            make(client, collection, dim, model, scalars, kind)
        facts = cast("dict[str, Any]", client.describe_collection(collection))
        check(f"collection {collection!r} in {place}", facts, dim, model, scalars)
        store = PictureStore(place, facts, dim, uri=address, token=token or "")
        client.load_collection(collection)  # a reopened collection is not loaded
    return store


class PictureStore(MilvusVectorStore):
    """A `MilvusVectorStore` with every vector of length 1, safe filters, and async in any loop."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _place: Place = PrivateAttr()
    _columns: dict[str, ScalarType] = PrivateAttr()
    _identity: str = PrivateAttr()

    def __init__(
        self, place: Place, facts: Mapping[str, Any], dim: int, *, uri: str, token: str
    ) -> None:
        MilvusVectorStore.__init__(
            self,
            uri=uri,
            token=token,
            collection_name=facts["collection_name"],
            dim=dim,
            similarity_metric="COSINE",
            upsert_mode=True,
            output_fields=["_node_content", "_node_type"],
            use_async_client=False,  # it is bound to the first event loop that uses it
            batch_size=256,
        )
        self.uri = str(place)
        self._place = place
        self._columns = columns_of(facts)
        self._identity = facts["properties"][IDENTITY]

    @property
    def place(self) -> Place:
        """Where the collection lives."""
        return self._place

    @property
    def identity(self) -> str:
        """The collection's own mark: another one after it was dropped and made anew."""
        return self._identity

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Upsert nodes; each needs an embedding, and an image node a path or URL."""
        ready = [self._ready(node) for node in nodes]
        doing = f"writing {len(ready)} rows"
        return patiently(self._place, doing, super().add, ready, **add_kwargs)

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Fetch the vectors of those ids that are stored."""
        if not ids:
            return {}
        rows = patiently(
            self._place,
            "reading",
            self.client.get,
            self.collection_name,
            ids=list(ids),
            output_fields=[self.embedding_field],
        )
        return {row["id"]: [float(x) for x in row[self.embedding_field]] for row in rows}

    def count(self) -> int:
        """Count the rows."""
        rows = patiently(
            self._place,
            "counting",
            self.client.query,
            self.collection_name,
            output_fields=["count(*)"],
            consistency_level="Strong",
        )
        return int(rows[0]["count(*)"])

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete by ids or by filter; nothing is deleted when both are empty."""
        if not node_ids and filters is None:
            return
        if node_ids and filters is None:
            delete = partial(self.client.delete, self.collection_name, ids=list(node_ids))
        else:
            delete = partial(super().delete_nodes, node_ids, checked(filters))
        patiently(self._place, "deleting", delete, **delete_kwargs)

    def get_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **kwargs: Any,
    ) -> list[BaseNode]:
        """Fetch nodes by ids or by filter."""
        if node_ids is not None and not node_ids:
            return []
        safe = checked(filters)
        return patiently(self._place, "reading", super().get_nodes, node_ids, safe, **kwargs)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search by vector, and by filter when there is one."""
        safe = replace(
            query,
            query_embedding=self._unit(query.query_embedding, "the query"),
            filters=checked(query.filters),
        )
        return patiently(self._place, "searching", super().query, safe, **kwargs)

    def close(self) -> None:
        """Let go of the collection; a Lite folder can then be opened by another process."""
        self.client.close()
        if self._place.folder is not None:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(str(self._place.folder))

    async def async_add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Upsert nodes, without blocking the event loop."""
        return await asyncio.to_thread(self.add, nodes, **add_kwargs)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search, without blocking the event loop."""
        return await asyncio.to_thread(self.query, query, **kwargs)

    async def aget_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **kwargs: Any,
    ) -> list[BaseNode]:
        """Fetch nodes, without blocking the event loop."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters, **kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete, without blocking the event loop."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document, without blocking the event loop."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def aclear(self) -> None:
        """Drop the collection, without blocking the event loop."""
        await asyncio.to_thread(self.clear)

    def _ready(self, node: BaseNode) -> BaseNode:
        name = f"node {node.node_id!r}"
        if set(node.node_id) & set("\"'\\"):
            raise StoreError(f"{name}: an id may not hold quotes or backslashes")
        metadata = {
            key: _typed(value, self._columns[key], f"{name}, {key}")
            if key in self._columns
            else value
            for key, value in node.metadata.items()
            if value is not None
        }
        changes: dict[str, Any] = {
            "metadata": metadata,
            "embedding": self._unit(node.embedding, name),
        }
        if isinstance(node, ImageNode):
            if node.image and not (node.image_path or node.image_url):
                raise StoreError(
                    f"{name} holds its picture as base64, which Milvus is no place for: "
                    "save it to a file and set image_path"
                )
            changes |= {"image": None, "text": node.text[: LONGEST_TEXT // 4]}
        return node.model_copy(update=changes)

    def _unit(self, vector: Sequence[float] | None, name: str) -> list[float]:
        if vector is None:
            raise StoreError(f"{name} has no embedding: embed it before it goes to the store")
        array = np.asarray(vector, dtype=np.float64)  # (dim,)
        if array.shape != (self.dim,):
            raise StoreMismatchError(
                f"{name} has a vector of shape {array.shape}, collection "
                f"{self.collection_name!r} holds {self.dim}-d ones: use the encoder that made it"
            )
        length = float(np.linalg.norm(array))
        if not np.isfinite(length) or length == 0:
            raise StoreError(f"{name} has a vector of length {length}: it cannot be compared")
        return (array / length).tolist()


def _typed(value: Any, scalar: ScalarType, name: str) -> Any:
    try:
        return TypeAdapter(scalar, config=LAX).validate_python(value)
    except ValidationError as error:
        raise StoreError(f"{name}: {value!r} is no {scalar.__name__}, as its column is") from error
