"""Milvus vector store with a validated schema, normalized vectors and safe filter expressions."""

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
from llama_index.indices.composed_image.connection import MilvusConnection, call_with_retry, parse_uri, translate_errors
from llama_index.indices.composed_image.filters import expression
from llama_index.indices.composed_image.schema import (
    IDENTITY,
    INDEX_TYPES,
    RowSchema,
    ScalarType,
    create_collection,
    validate_collection,
)
from llama_index.vector_stores.milvus import MilvusVectorStore
from pymilvus import MilvusClient

from mmrag.errors import StoreError

__all__ = ["ImageVectorStore", "ScalarType", "milvus_store"]


def milvus_store(
    uri: str | os.PathLike[str],
    collection: str,
    dim: int,
    *,
    model: str,
    token: str | None = None,
    scalar_fields: Mapping[str, ScalarType] | None = None,
    index_type: str | None = None,
) -> ImageVectorStore:
    """Open or create a collection with cosine similarity, upserts, and a tag of its encoder.

    Parameters
    ----------
    uri : str or path
        A Milvus Lite folder (``catalog.db``), or the URI of a server or of Zilliz Cloud.
    collection : str
        Name of the collection.
    dim : int
        Length of its vectors.
    model : str
        Name of the encoder that makes them.
    token : str, optional
        For servers that need one; it goes to the client and is kept nowhere else.
    scalar_fields : mapping of str to type, optional
        Metadata to keep in typed columns (``{"price": float}``): filters on them are several times
        faster than on other metadata. Only used when the collection is created; of more than 60
        the first become columns.
    index_type : str, optional
        Default: ``"HNSW"`` on a server, and ``"FLAT"`` on Lite, which rebuilds HNSW after a crash.

    Raises
    ------
    StoreMismatchError
        If the collection was made by another encoder.
    StoreLockedError
        If another process has the Lite folder open.
    StoreError
        If Milvus cannot be reached, or refuses.
    """
    connection = parse_uri(uri)
    index_type = index_type or ("HNSW" if connection.folder is None else "FLAT")
    if index_type not in INDEX_TYPES:
        raise StoreError(f"index type {index_type!r} is not supported: choose {', '.join(INDEX_TYPES)}")
    if connection.folder is not None:
        connection.folder.parent.mkdir(parents=True, exist_ok=True)
    scalar_fields = scalar_fields or {}
    address = str(connection.folder or uri)
    with translate_errors(connection, f"opening collection {collection!r}"):
        client = MilvusClient(uri=address, token=token or "")
        if collection not in cast("list[str]", client.list_collections()):
            create_collection(client, collection, dim, model, scalar_fields, index_type)
        description = cast("dict[str, Any]", client.describe_collection(collection))
        validate_collection(f"collection {collection!r} in {connection}", description, dim, model, scalar_fields)
        store = ImageVectorStore(connection, description, dim, uri=address, token=token or "")
        client.load_collection(collection)  # a reopened collection is not loaded
    return store


class ImageVectorStore(MilvusVectorStore):
    """A `MilvusVectorStore` with every vector of length 1, safe filters, and async in any loop."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _connection: MilvusConnection = PrivateAttr()
    _schema: RowSchema = PrivateAttr()
    _identity: str = PrivateAttr()

    def __init__(
        self, connection: MilvusConnection, description: Mapping[str, Any], dim: int, *, uri: str, token: str
    ) -> None:
        MilvusVectorStore.__init__(
            self,
            uri=uri,
            token=token,
            collection_name=description["collection_name"],
            dim=dim,
            similarity_metric="COSINE",
            upsert_mode=True,
            output_fields=["_node_content", "_node_type"],
            use_async_client=False,  # it is bound to the first event loop that uses it
            batch_size=256,
        )
        self.uri = str(connection)
        self._connection = connection
        self._schema = RowSchema.from_description(description, dim)
        self._identity = description["properties"][IDENTITY]

    @property
    def connection(self) -> MilvusConnection:
        """The Milvus that holds the collection."""
        return self._connection

    @property
    def identity(self) -> str:
        """Random id of the collection: another one after it was dropped and created anew."""
        return self._identity

    @property
    def columns(self) -> Mapping[str, ScalarType]:
        """The columns for metadata, with their types."""
        return self._schema.columns

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Upsert nodes; each needs an embedding, and an image node a path or URL."""
        return self.upsert_rows(
            [self._schema.to_row(node) for node in nodes], [node.embedding for node in nodes], **add_kwargs
        )

    def to_row(self, node: BaseNode) -> dict[str, Any]:
        """Validate a node and convert it to a row for `upsert_rows`; raises `StoreError`."""
        return self._schema.to_row(node)

    def upsert_rows(
        self, rows: Sequence[Mapping[str, Any]], vectors: Sequence[Sequence[float] | None], **add_kwargs: Any
    ) -> list[str]:
        """Upsert rows made by `to_row` with their vectors, and return their ids."""
        complete = [
            {**row, self.embedding_field: self._schema.normalize(vector, f"node {row['id']!r}")}
            for row, vector in zip(rows, vectors, strict=True)
        ]
        for start in range(0, len(complete), self.batch_size):
            call_with_retry(
                self._connection,
                f"writing {len(complete)} rows",
                self.client.upsert,
                self.collection_name,
                complete[start : start + self.batch_size],
                partition_name=add_kwargs.get("milvus_partition_name"),
            )
        if add_kwargs.get("force_flush"):
            call_with_retry(self._connection, "flushing", self.client.flush, self.collection_name)
        return [row["id"] for row in rows]

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Fetch the vectors of those ids that are stored."""
        if not ids:
            return {}
        rows = call_with_retry(
            self._connection,
            "reading",
            self.client.get,
            self.collection_name,
            ids=list(ids),
            output_fields=[self.embedding_field],
        )
        return {row["id"]: [float(x) for x in row[self.embedding_field]] for row in rows}

    def count(self) -> int:
        """Count the rows."""
        rows = call_with_retry(
            self._connection,
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
        rows = call_with_retry(
            self._connection,
            "reading",
            self.client.query,
            self.collection_name,
            filter=where,
            partition_names=kwargs.get("milvus_partition_names"),
        )
        return [metadata_dict_to_node(row, text=row[self.text_key]) for row in rows]

    def pages(self) -> Iterator[list[BaseNode]]:
        """Iterate over all nodes, some hundreds at a time."""
        with translate_errors(self._connection, "reading"):
            rows = self.client.query_iterator(self.collection_name, batch_size=500, output_fields=self.output_fields)
            while page := rows.next():
                yield [metadata_dict_to_node(row) for row in page]
            rows.close()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search by vector, and by filter when there is one."""
        query = replace(query, query_embedding=self._schema.normalize(query.query_embedding, "the query"))
        return call_with_retry(self._connection, "searching", super().query, query, **kwargs)

    def close(self) -> None:
        """Release the collection; another process can then open a Lite folder."""
        self.client.close()
        if self._connection.folder is not None:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(str(self._connection.folder))

    async def async_add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Upsert nodes in a worker thread."""
        return await asyncio.to_thread(self.add, nodes, **add_kwargs)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search in a worker thread."""
        return await asyncio.to_thread(self.query, query, **kwargs)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **kwargs: Any
    ) -> list[BaseNode]:
        """Fetch nodes in a worker thread."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters, **kwargs)

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete in a worker thread."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document in a worker thread."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def aclear(self) -> None:
        """Drop the collection in a worker thread."""
        await asyncio.to_thread(self.clear)

    def _delete(self, where: str, **kwargs: Any) -> None:
        call_with_retry(self._connection, "deleting", self.client.delete, self.collection_name, filter=where, **kwargs)

    def _prepare_before_search(self, query: VectorStoreQuery, **kwargs: Any) -> tuple[str, list[str]]:
        where = expression(query.filters, doc_id=query.doc_ids, id=query.node_ids)
        unfiltered = replace(query, filters=None, doc_ids=None, node_ids=None)
        given, fields = super()._prepare_before_search(unfiltered, **kwargs)
        if query.mode == VectorStoreQueryMode.MMR:  # it compares the results with each other
            fields = [*fields, self.embedding_field]
        return " and ".join(filter(None, [where, given])), fields
