"""A node as a row of a collection. In: a node with its vector. Out: a copy that can be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import ConfigDict, TypeAdapter, ValidationError
from llama_index.core.schema import BaseNode, ImageNode, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index.embeddings.composed_image.image_sources import node_image, node_image_path
from llama_index.indices.composed_image.schema import LONGEST_TEXT, ScalarType

from mmrag.errors import StoreError, StoreMismatchError
from mmrag.images.redact import url_scheme

__all__ = ["Rows"]

MOST_METADATA_BYTES = 65_535  # all that has no column of its own; node and metadata both count
LAX = ConfigDict(coerce_numbers_to_str=True)


@dataclass(frozen=True)
class Rows:
    """What the rows of one collection are like.

    Attributes
    ----------
    collection
        Its name, for messages.
    dim
        Length of its vectors.
    columns
        Its columns for metadata, with their types.
    required
        Those that no row may leave empty.
    """

    collection: str
    dim: int
    columns: Mapping[str, ScalarType]
    required: frozenset[str]

    def ready(self, node: BaseNode) -> BaseNode:
        """Copy a node as it can be stored.

        Raises
        ------
        StoreError
            When its id, vector, metadata or image cannot be.
        """
        return self.checked(node).model_copy(update={"embedding": self.unit(node.embedding, _name(node))})

    def checked(self, node: BaseNode) -> BaseNode:
        """Copy a node as it can be stored, but for its vector, which may be missing yet.

        Raises
        ------
        StoreError
            When its id, metadata or image cannot be.
        """
        name = _name(node)
        if node_image(node) is not None and not node_image_path(node):
            raise StoreError(
                f"{name} holds its image as base64, which Milvus is no place for: save it to a file and set image_path"
            )
        node = _readable(node)
        if set(node.node_id) & set("\"'\\"):
            raise StoreError(f"{name}: an id may not hold quotes or backslashes")
        metadata = {
            key: _typed(value, self.columns[key], f"{name}, {key}") if key in self.columns else value
            for key, value in node.metadata.items()
            if value is not None
        }
        for missing in sorted(self.required - metadata.keys()):
            raise StoreError(
                f"{name} has no {missing!r}, and this Milvus keeps no empty columns: "
                f"give every row a {missing!r}, or use Milvus 2.5 or newer"
            )
        changes: dict[str, Any] = {"metadata": metadata}
        if isinstance(node, ImageNode):
            changes |= {"image": None, "text": node.text[: LONGEST_TEXT // 4]}
        copy = node.model_copy(update=changes)
        self._fits(copy, name)
        return copy

    def unit(self, vector: Sequence[float] | None, name: str) -> list[float]:
        """Scale a vector to length 1; ``name`` tells whose it is.

        Raises
        ------
        StoreError
            When there is none, or it has no direction, or another length than the collection's.
        """
        if vector is None:
            raise StoreError(f"{name} has no embedding: embed it before it goes to the store")
        array = np.asarray(vector, dtype=np.float64)  # (dim,)
        if array.shape != (self.dim,):
            raise StoreMismatchError(
                f"{name} has a vector of shape {array.shape}, collection "
                f"{self.collection!r} holds {self.dim}-d ones: use the encoder that made it"
            )
        length = float(np.linalg.norm(array))
        if not np.isfinite(length) or length == 0:
            raise StoreError(f"{name} has a vector of length {length}: it cannot be compared")
        return (array / length).tolist()

    def _fits(self, node: BaseNode, name: str) -> None:
        row = node_to_metadata_dict(node, remove_text=True)
        loose = {key: value for key, value in row.items() if key not in self.columns}
        try:
            size = len(json.dumps(loose, ensure_ascii=False, default=str).encode())
        except UnicodeEncodeError as error:
            raise StoreError(f"{name} has metadata that is no valid Unicode ({error})") from error
        if size > MOST_METADATA_BYTES:
            longest = max(node.metadata, key=lambda key: len(str(node.metadata[key])))
            raise StoreError(
                f"{name} has metadata that takes {size:,} bytes in a row, Milvus keeps "
                f"{MOST_METADATA_BYTES:,}: shorten {longest!r}"
            )


def _readable(node: BaseNode) -> TextNode:
    """Write documents and newer nodes as what LlamaIndex reads back whole from a row."""
    if isinstance(node, TextNode):  # image nodes are such, too
        return node
    fields = {name: getattr(node, name) for name in BaseNode.model_fields}
    fields["text"] = node.get_content()
    if address := node_image_path(node):
        return ImageNode(**fields, **{"image_url" if url_scheme(address) else "image_path": address})
    return TextNode(**fields)


def _name(node: BaseNode) -> str:
    return f"node {node.node_id!r}"


def _typed(value: Any, scalar: ScalarType, name: str) -> Any:
    if scalar is float and type(value) is int:
        return value  # a column of floats takes it, and a stock of 3 need not become 3.0
    try:
        return TypeAdapter(scalar, config=LAX).validate_python(value)
    except ValidationError as error:
        raise StoreError(f"{name}: {value!r} is no {scalar.__name__}, as its column is") from error
