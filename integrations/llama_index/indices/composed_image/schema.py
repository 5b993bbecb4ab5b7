"""How a collection is laid out, and whose vectors it holds. In: a client. Out: checked facts."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from itertools import islice
from typing import Any

from pymilvus import DataType, MilvusClient

from mmrag.errors import StoreMismatchError

__all__ = ["IDENTITY", "INDEXES", "LONGEST_TEXT", "ScalarType", "check", "columns_of", "make", "required_of"]

logger = logging.getLogger(__name__)

ScalarType = type[str] | type[int] | type[float] | type[bool]

COLUMNS = {str: DataType.VARCHAR, int: DataType.INT64, float: DataType.DOUBLE, bool: DataType.BOOL}
# Lite also accepts IVF_PQ, DISKANN and SCANN, and then can never load the collection again.
INDEXES = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX")
MODEL, DIM, IDENTITY = "mmrag.model", "mmrag.dim", "mmrag.id"
LONGEST_TEXT = 65_535
MOST_COLUMNS = 60  # a server takes 64 with its own four; what has no column is kept all the same
HNSW = {"M": 16, "efConstruction": 200}


def make(
    client: MilvusClient, collection: str, dim: int, model: str, scalars: Mapping[str, ScalarType], kind: str
) -> None:
    """Create a collection, tagged with the encoder whose vectors it will hold."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=LONGEST_TEXT)
    schema.add_field("doc_id", DataType.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("text", DataType.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    for name, scalar in islice(scalars.items(), MOST_COLUMNS):
        size = {"max_length": LONGEST_TEXT} if scalar is str else {}
        schema.add_field(name, COLUMNS[scalar], nullable=True, **size)
    index = client.prepare_index_params()
    index.add_index(
        "embedding",
        index_name="embedding",
        index_type=kind,
        metric_type="COSINE",
        params=HNSW if kind.startswith("HNSW") else {},
    )
    tags = {MODEL: model, DIM: str(dim), IDENTITY: uuid.uuid4().hex}
    client.create_collection(
        collection, schema=schema, index_params=index, properties=tags, consistency_level="Session"
    )


def check(name: str, facts: dict[str, Any], dim: int, model: str, scalars: Mapping[str, ScalarType]) -> None:
    """Refuse a collection of another encoder; tell of columns that are not as they were wished."""
    tags = facts["properties"]
    if MODEL not in tags:
        raise StoreMismatchError(f"{name} was not made by mmrag: use another collection")
    if (tags[MODEL], tags[DIM]) != (model, str(dim)):
        raise StoreMismatchError(
            f"{name} holds {tags[DIM]}-d vectors of {tags[MODEL]!r}, this encoder is "
            f"{model!r} and makes {dim}-d ones. Use another collection, or that encoder"
        )
    columns = columns_of(facts)
    for key, scalar in scalars.items():
        if key not in columns:
            logger.info("%s has no column %r: filters on it work, but slower", name, key)
        elif columns[key] is not scalar:
            kept, wished = columns[key].__name__, scalar.__name__
            logger.warning("%s keeps %r as %s, not as %s", name, key, kept, wished)


def columns_of(facts: Mapping[str, Any]) -> dict[str, ScalarType]:
    """List the columns for metadata, with their types."""
    own = ("id", "doc_id", "text", "embedding")
    types = {datatype: scalar for scalar, datatype in COLUMNS.items()}
    return {f["name"]: types[f["type"]] for f in facts["fields"] if f["name"] not in own}


def required_of(facts: Mapping[str, Any]) -> frozenset[str]:
    """List the columns that no row may leave empty: all, before Milvus 2.5."""
    nullable = {field["name"] for field in facts["fields"] if field.get("nullable")}
    return frozenset(columns_of(facts).keys() - nullable)
