"""Schema of a collection, and the conversion of nodes to its rows."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, TypeAdapter, ValidationError
from llama_index.core.schema import BaseNode, ImageNode, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index.embeddings.composed_image.image_sources import node_image, node_image_path
from pymilvus import DataType, MilvusClient

from mmrag.errors import StoreError, StoreMismatchError
from mmrag.images.redact import url_scheme

__all__ = ["IDENTITY", "INDEX_TYPES", "RowSchema", "ScalarType", "create_collection", "validate_collection"]

logger = logging.getLogger(__name__)

ScalarType = type[str] | type[int] | type[float] | type[bool]

COLUMN_TYPES: dict[ScalarType, DataType] = {
    str: DataType.VARCHAR,
    int: DataType.INT64,
    float: DataType.DOUBLE,
    bool: DataType.BOOL,
}
OWN_COLUMNS = ("id", "doc_id", "text", "embedding")
# Lite also accepts IVF_PQ, DISKANN and SCANN, and then can never load the collection again.
INDEX_TYPES = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX")
HNSW = {"M": 16, "efConstruction": 200}
MODEL, DIM, IDENTITY = "mmrag.model", "mmrag.dim", "mmrag.id"
MAX_TEXT_BYTES = 65_535
MAX_METADATA_BYTES = 65_535  # all that has no column of its own; node and metadata both count
MAX_COLUMNS = 60  # a server takes 64 with its own four; what has no column is kept all the same
ADAPTERS: dict[ScalarType, TypeAdapter[Any]] = {
    scalar: TypeAdapter(scalar, config=ConfigDict(coerce_numbers_to_str=True)) for scalar in COLUMN_TYPES
}


def create_collection(
    client: MilvusClient,
    collection: str,
    dim: int,
    model: str,
    scalar_fields: Mapping[str, ScalarType],
    index_type: str,
) -> None:
    """Create a collection, tagged with the encoder of its vectors; parameters are those of `milvus_store`."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_TEXT_BYTES)
    schema.add_field("doc_id", DataType.VARCHAR, max_length=MAX_TEXT_BYTES)
    schema.add_field("text", DataType.VARCHAR, max_length=MAX_TEXT_BYTES)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    for name, scalar in islice(scalar_fields.items(), MAX_COLUMNS):
        size = {"max_length": MAX_TEXT_BYTES} if scalar is str else {}
        schema.add_field(name, COLUMN_TYPES[scalar], nullable=True, **size)
    index = client.prepare_index_params()
    params = HNSW if index_type.startswith("HNSW") else {}
    index.add_index("embedding", index_name="embedding", index_type=index_type, metric_type="COSINE", params=params)
    tags = {MODEL: model, DIM: str(dim), IDENTITY: uuid.uuid4().hex}
    client.create_collection(
        collection, schema=schema, index_params=index, properties=tags, consistency_level="Session"
    )


def validate_collection(
    name: str, description: Mapping[str, Any], dim: int, model: str, scalar_fields: Mapping[str, ScalarType]
) -> None:
    """Raise `StoreMismatchError` for a collection of another encoder; log columns that differ."""
    tags = description["properties"]
    if MODEL not in tags:
        raise StoreMismatchError(f"{name} was not made by mmrag: use another collection")
    if (tags[MODEL], tags[DIM]) != (model, str(dim)):
        raise StoreMismatchError(
            f"{name} holds {tags[DIM]}-d vectors of {tags[MODEL]!r}, this encoder is "
            f"{model!r} and makes {dim}-d ones. Use another collection, or that encoder"
        )
    columns = _metadata_columns(description)
    for key, scalar in scalar_fields.items():
        if key not in columns:
            logger.info("%s has no column %r: filters on it work, but slower", name, key)
        elif columns[key] is not scalar:
            logger.warning("%s keeps %r as %s, not as %s", name, key, columns[key].__name__, scalar.__name__)


@dataclass(frozen=True)
class RowSchema:
    """The metadata columns that the rows of one collection have, and those that may not be empty."""

    columns: Mapping[str, ScalarType]
    required: frozenset[str]  # all, before Milvus 2.5

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> RowSchema:
        """Read the schema out of what Milvus says of a collection."""
        columns = _metadata_columns(description)
        nullable = {field["name"] for field in description["fields"] if field.get("nullable")}
        return cls(columns, frozenset(columns.keys() - nullable))

    def to_row(self, node: BaseNode) -> dict[str, Any]:
        """Convert a node to a row without its vector; raises `StoreError` if id, metadata or image cannot be stored."""
        name = f"node {node.node_id!r}"
        node = _to_text_node(node)
        if isinstance(node, ImageNode) and node.image and not (node.image_path or node.image_url):
            raise StoreError(
                f"{name} holds its image as base64, which Milvus is no place for: save it to a file and set image_path"
            )
        if set(node.node_id) & set("\"'\\"):
            raise StoreError(f"{name}: an id may not hold quotes or backslashes")
        metadata = self._typed_metadata(node.metadata, name)
        changes: dict[str, Any] = {"metadata": metadata, "embedding": None}
        if isinstance(node, ImageNode):
            changes |= {"image": None, "text": node.text[: MAX_TEXT_BYTES // 4]}
        node = node.model_copy(update=changes)
        row = node_to_metadata_dict(node, remove_text=True)
        self._require_size(row, metadata, name)
        return {**row, "id": node.node_id, "text": node.text}

    def _typed_metadata(self, metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
        typed = {key: value for key, value in metadata.items() if value is not None}
        for missing in sorted(self.required - typed.keys()):
            raise StoreError(
                f"{name} has no {missing!r}, and this Milvus keeps no empty columns: "
                f"give every row a {missing!r}, or use Milvus 2.5 or newer"
            )
        for key in typed.keys() & self.columns.keys():
            scalar, value = self.columns[key], typed[key]
            if scalar is float and type(value) is int:
                continue  # a column of floats takes it, and a stock of 3 need not become 3.0
            try:
                typed[key] = ADAPTERS[scalar].validate_python(value)
            except ValidationError as error:
                raise StoreError(f"{name}, {key}: {value!r} is no {scalar.__name__}, as its column is") from error
        return typed

    def _require_size(self, row: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> None:
        without_column = {key: value for key, value in row.items() if key not in self.columns}
        try:
            size = len(json.dumps(without_column, ensure_ascii=False, default=str).encode())
        except UnicodeEncodeError as error:
            raise StoreError(f"{name} has metadata that is no valid Unicode ({error})") from error
        if size > MAX_METADATA_BYTES:
            longest = max(metadata, key=lambda key: len(str(metadata[key])))
            raise StoreError(
                f"{name} has metadata that takes {size:,} bytes in a row, Milvus keeps "
                f"{MAX_METADATA_BYTES:,}: shorten {longest!r}"
            )


def _metadata_columns(description: Mapping[str, Any]) -> dict[str, ScalarType]:
    scalars = {datatype: scalar for scalar, datatype in COLUMN_TYPES.items()}
    return {
        field["name"]: scalars[field["type"]] for field in description["fields"] if field["name"] not in OWN_COLUMNS
    }


def _to_text_node(node: BaseNode) -> TextNode:
    """Convert documents and newer nodes to what LlamaIndex restores whole from a row."""
    if isinstance(node, TextNode):  # image nodes are such, too
        return node
    fields = {name: getattr(node, name) for name in BaseNode.model_fields}
    fields["text"] = node.get_content()
    address = node_image_path(node)
    if image := address or node_image(node):
        kind = "image" if not address else "image_url" if url_scheme(address) else "image_path"
        return ImageNode(**fields, **{kind: image})
    return TextNode(**fields)
