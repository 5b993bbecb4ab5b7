"""A `MilvusVectorStore` opened right. In: where, and whose vectors. Out: a store that stays so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node
from llama_index.indices.composed_image.connection import Place, answered, patiently, place_of
from llama_index.indices.composed_image.filters import expression
from llama_index.indices.composed_image.rows import Rows
from llama_index.indices.composed_image.schema import (
    IDENTITY,
    INDEXES,
    ScalarType,
    check,
    columns_of,
    make,
    required_of,
)
from llama_index.vector_stores.milvus import MilvusVectorStore
from pymilvus import MilvusClient

from mmrag.errors import StoreError

__all__ = ["ImageStore", "ScalarType", "milvus_store"]


def milvus_store(
    uri: str | os.PathLike[str],
    collection: str,
    dim: int,
    *,
    model: str,
    token: str | None = None,
    scalar_fields: Mapping[str, ScalarType] | None = None,
    index_type: str | None = None,
) -> ImageStore:
    """Open a collection, or make it: cosine similarity, upserts, and a tag of who made its vectors.

    Parameters
    ----------
    uri
        A Milvus Lite folder (``catalog.db``), or the URI of a server or of Zilliz Cloud.
    collection
        Name of the collection.
    dim, model
        Length of the vectors, and name of the encoder that makes them.
    token
        For servers that ask for one; it is handed to the client and kept nowhere else.
    scalar_fields
        Metadata to keep in typed columns (``{"price": float}``): filters on them are several times
        faster than on other metadata. Only read when the collection is made; of more than 60 the
        first become columns.
    index_type
        ``"HNSW"`` by default on a server and ``"FLAT"`` on Lite, which rebuilds HNSW after a crash.

    Raises
    ------
    StoreMismatchError
        When the collection was made by another encoder.
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
        store = ImageStore(place, facts, dim, uri=address, token=token or "")
        client.load_collection(collection)  # a reopened collection is not loaded
    return store


class ImageStore(MilvusVectorStore):
    """A `MilvusVectorStore` with every vector of length 1, safe filters, and async in any loop."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _place: Place = PrivateAttr()
    _rows: Rows = PrivateAttr()
    _identity: str = PrivateAttr()

    def __init__(self, place: Place, facts: Mapping[str, Any], dim: int, *, uri: str, token: str) -> None:
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
        self._rows = Rows(self.collection_name, dim, columns_of(facts), required_of(facts))
        self._identity = facts["properties"][IDENTITY]

    @property
    def place(self) -> Place:
        """Where the collection lives."""
        return self._place

    @property
    def identity(self) -> str:
        """The collection's own mark: another one after it was dropped and made anew."""
        return self._identity

    @property
    def columns(self) -> Mapping[str, ScalarType]:
        """The columns for metadata, with their types."""
        return self._rows.columns

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Upsert nodes; each needs an embedding, and an image node a path or URL."""
        ready = [self._rows.ready(node) for node in nodes]
        doing = f"writing {len(ready)} rows"
        return patiently(self._place, doing, super().add, ready, **add_kwargs)

    def check(self, node: BaseNode) -> None:
        """Refuse a node, with or without its vector, that `add` would refuse."""
        self._rows.checked(node)

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
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete by ids, by filter, or by both; nothing is deleted when both are empty."""
        if where := expression(filters, id=node_ids):
            self._delete(where, **delete_kwargs)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        self._delete(expression(doc_id=[ref_doc_id]), **delete_kwargs)

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **kwargs: Any
    ) -> list[BaseNode]:
        """Fetch nodes by ids, by filter, or by both; none when both are empty."""
        where = expression(filters, id=node_ids)
        if not where:
            return []
        rows = patiently(
            self._place,
            "reading",
            self.client.query,
            self.collection_name,
            filter=where,
            partition_names=kwargs.get("milvus_partition_names"),
        )
        return [metadata_dict_to_node(row, text=row[self.text_key]) for row in rows]

    def pages(self) -> Iterator[list[BaseNode]]:
        """Walk all nodes, some hundreds at a time."""
        with answered(self._place, "reading"):
            walk = self.client.query_iterator(self.collection_name, batch_size=500, output_fields=self.output_fields)
            while rows := walk.next():
                yield [metadata_dict_to_node(row) for row in rows]
            walk.close()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search by vector, and by filter when there is one."""
        unit = replace(query, query_embedding=self._rows.unit(query.query_embedding, "the query"))
        return patiently(self._place, "searching", super().query, unit, **kwargs)

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
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **kwargs: Any
    ) -> list[BaseNode]:
        """Fetch nodes, without blocking the event loop."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters, **kwargs)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete, without blocking the event loop."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document, without blocking the event loop."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def aclear(self) -> None:
        """Drop the collection, without blocking the event loop."""
        await asyncio.to_thread(self.clear)

    def _delete(self, where: str, **kwargs: Any) -> None:
        delete = self.client.delete
        patiently(self._place, "deleting", delete, self.collection_name, filter=where, **kwargs)

    def _prepare_before_search(self, query: VectorStoreQuery, **kwargs: Any) -> tuple[str, list[str]]:
        where = expression(query.filters, doc_id=query.doc_ids, id=query.node_ids)
        bare = replace(query, filters=None, doc_ids=None, node_ids=None)
        given, fields = super()._prepare_before_search(bare, **kwargs)
        if query.mode == VectorStoreQueryMode.MMR:  # which compares the results with each other
            fields = [*fields, self.embedding_field]
        return " and ".join(filter(None, [where, given])), fields
