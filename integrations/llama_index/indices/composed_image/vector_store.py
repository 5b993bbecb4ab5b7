"""Milvus vector store with a validated schema, normalized vectors and safe filter expressions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
from llama_index.core.bridge.pydantic import ConfigDict, Field
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

from mmrag.errors import StoreError, StoreMismatchError

__all__ = ["ImageVectorStore", "ScalarType", "milvus_store", "unit_vector"]

P = ParamSpec("P")
T = TypeVar("T")
UNSET: Any = None  # LlamaIndex's constructor validates its own fields before others can be set


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
    scalar_fields = scalar_fields or {}
    address = str(connection.folder or uri)
    with translate_errors(connection, f"opening collection {collection!r}"):
        if connection.folder is not None:
            connection.folder.parent.mkdir(parents=True, exist_ok=True)
        client = MilvusClient(uri=address, token=token or "")
        if collection not in cast("list[str]", client.list_collections()):
            create_collection(client, collection, dim, model, scalar_fields, index_type)
        description = cast("dict[str, Any]", client.describe_collection(collection))
        validate_collection(f"collection {collection!r} in {connection}", description, dim, model, scalar_fields)
        store = ImageVectorStore(connection, description, dim, uri=address, token=token or "")
        client.load_collection(collection)  # a reopened collection is not loaded
    return store


def _in_thread(method: Callable[..., Any]) -> Any:
    """Make the async version of a method: in a worker thread, and so in any event loop; typed as in the base class."""

    @wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(method, *args, **kwargs)

    return call


class ImageVectorStore(MilvusVectorStore):
    """A `MilvusVectorStore` with every vector of length 1, safe filters, and async in any loop."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    connection: MilvusConnection = Field(UNSET, exclude=True, description="The Milvus that holds the collection.")
    row_schema: RowSchema = Field(UNSET, exclude=True, description="What the rows must be like.")
    identity: str = Field("", exclude=True, description="Random id of the collection; created anew, it has another.")

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
        self.connection = connection
        self.row_schema = RowSchema.from_description(description)
        self.identity = description["properties"][IDENTITY]

    @property
    def columns(self) -> Mapping[str, ScalarType]:
        """The columns for metadata, with their types."""
        return self.row_schema.columns

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Upsert nodes; each needs an embedding, and an image node a path or URL."""
        rows = [self.row_schema.to_row(node) for node in nodes]
        return self.upsert_rows(rows, [node.embedding for node in nodes], **add_kwargs)

    def upsert_rows(
        self, rows: Sequence[Mapping[str, Any]], vectors: Sequence[Sequence[float] | None], **add_kwargs: Any
    ) -> list[str]:
        """Upsert rows made by `RowSchema.to_row` with their vectors, and return their ids."""
        complete: list[dict[str, Any]] = []
        for row, vector in zip(rows, vectors, strict=True):
            unit = unit_vector(vector, self.dim, f"node {row['id']!r}", self.collection_name)
            complete.append({**row, self.embedding_field: unit})
        partition = add_kwargs.get("milvus_partition_name")
        for start in range(0, len(complete), self.batch_size):
            batch = complete[start : start + self.batch_size]
            self._call(f"writing {len(complete)} rows", self.client.upsert, batch, partition_name=partition)
        if add_kwargs.get("force_flush"):
            self._call("flushing", self.client.flush)
        return [row["id"] for row in rows]

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Fetch the vectors of those ids that are stored."""
        if not ids:
            return {}
        rows = self._call("reading", self.client.get, ids=list(ids), output_fields=[self.embedding_field])
        return {row["id"]: [float(x) for x in row[self.embedding_field]] for row in rows}

    def count(self) -> int:
        """Count the rows."""
        counted = self._call("counting", self.client.query, output_fields=["count(*)"], consistency_level="Strong")
        return int(counted[0]["count(*)"])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete by ids, by filter, or by both; nothing is deleted when both are empty."""
        if where := expression(filters, id=node_ids):
            self._call("deleting", self.client.delete, filter=where, **delete_kwargs)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        self._call("deleting", self.client.delete, filter=expression(doc_id=[ref_doc_id]), **delete_kwargs)

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **kwargs: Any
    ) -> list[BaseNode]:
        """Fetch nodes by ids, by filter, or by both; none when both are empty."""
        where = expression(filters, id=node_ids)
        if not where:
            return []
        partitions = kwargs.get("milvus_partition_names")
        rows = self._call("reading", self.client.query, filter=where, partition_names=partitions)
        return [metadata_dict_to_node(row, text=row[self.text_key]) for row in rows]

    def pages(self) -> Iterator[list[BaseNode]]:
        """Iterate over all nodes, some hundreds at a time."""
        with translate_errors(self.connection, "reading"):
            rows = self.client.query_iterator(self.collection_name, batch_size=500, output_fields=self.output_fields)
            while page := rows.next():
                yield [metadata_dict_to_node(row) for row in page]
            rows.close()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Search by vector, and by filter when there is one."""
        unit = unit_vector(query.query_embedding, self.dim, "the query", self.collection_name)
        query = replace(query, query_embedding=unit)
        return call_with_retry(self.connection, "searching", super().query, query, **kwargs)

    def close(self) -> None:
        """Release the collection; another process can then open a Lite folder."""
        self.client.close()
        if self.connection.folder is not None:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(str(self.connection.folder))

    async_add = _in_thread(add)
    aquery = _in_thread(query)
    aget_nodes = _in_thread(get_nodes)
    adelete_nodes = _in_thread(delete_nodes)
    adelete = _in_thread(delete)
    aclear = _in_thread(MilvusVectorStore.clear)

    def _call(self, operation: str, call: Callable[Concatenate[str, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return call_with_retry(self.connection, operation, call, self.collection_name, *args, **kwargs)

    def _prepare_before_search(self, query: VectorStoreQuery, **kwargs: Any) -> tuple[str, list[str]]:
        where = expression(query.filters, doc_id=query.doc_ids, id=query.node_ids)
        unfiltered = replace(query, filters=None, doc_ids=None, node_ids=None)
        given, fields = super()._prepare_before_search(unfiltered, **kwargs)
        if query.mode == VectorStoreQueryMode.MMR:  # it compares the results with each other
            fields = [*fields, self.embedding_field]
        return " and ".join(filter(None, [where, given])), fields


def unit_vector(vector: Sequence[float] | None, dim: int | None, name: str, collection: str) -> list[float]:
    """Scale a vector to length 1; raises `StoreError` if there is none, or it is not finite, 0 or of another length."""
    if vector is None:
        raise StoreError(f"{name} has no embedding: embed it before it goes to the store")
    array = np.asarray(vector, dtype=np.float64)  # (dim,)
    if array.shape != (dim,):
        raise StoreMismatchError(
            f"{name} has a vector of shape {array.shape}, collection "
            f"{collection!r} holds {dim}-d ones: use the encoder that made it"
        )
    length = float(np.linalg.norm(array))
    if not np.isfinite(length) or length == 0:
        raise StoreError(f"{name} has a vector of length {length}: it cannot be compared")
    return (array / length).tolist()
