"""The pymilvus of today speaks to the server of the wheel, which keeps what it acknowledged."""

from __future__ import annotations

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

pytestmark = pytest.mark.server

ROWS, DIM = 2_000, 32
HNSW = {"M": 16, "efConstruction": 100}  # a server has no default for them


def test_acknowledged_rows_are_found_and_survive_a_kill(milvus, collection):
    client = MilvusClient(uri=milvus.uri)
    _create(client, collection)
    vectors = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
    rows = [{"id": str(i), "vector": vector} for i, vector in enumerate(vectors)]
    assert client.insert(collection, rows)["insert_count"] == ROWS
    assert _nearest(client, collection, vectors[7]) == "7"
    client.close()

    milvus.kill()
    milvus.start()

    client = MilvusClient(uri=milvus.uri)
    client.load_collection(collection)
    assert _count(client, collection) == ROWS
    assert _nearest(client, collection, vectors[7]) == "7"


def _create(client: MilvusClient, collection: str) -> None:
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="COSINE", params=HNSW)
    client.create_collection(collection, schema=schema, index_params=index)


def _nearest(client: MilvusClient, collection: str, vector: np.ndarray) -> str:
    return client.search(collection, [vector], limit=1, consistency_level="Strong")[0][0]["id"]


def _count(client: MilvusClient, collection: str) -> int:
    count = client.query(collection, output_fields=["count(*)"], consistency_level="Strong")
    return count[0]["count(*)"]
