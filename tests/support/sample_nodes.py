"""Nodes of a catalog with a metadata column of every type."""

from __future__ import annotations

from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.indices.composed_image import ImageVectorStore

COLUMNS = {"price": float, "kind": str, "stock": int, "sold": bool}


def node(name: str, vector=(1, 0, 0, 0), **metadata) -> ImageNode:
    return ImageNode(id_=name, image_path=f"/shop/{name}.png", embedding=list(vector), metadata=metadata)


def ids(store: ImageVectorStore, filters=None, vector=(1, 0.5, 0.25, 0.1)) -> list[str]:
    found = store.query(VectorStoreQuery(query_embedding=list(vector), similarity_top_k=9, filters=filters))
    return [node.node_id for node in found.nodes or []]
