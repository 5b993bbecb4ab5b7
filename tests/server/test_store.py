"""`milvus_store` keeps its promises on a real server."""

from __future__ import annotations

import subprocess
import sys
from bisect import bisect_left

import numpy as np
import pytest
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.indices.composed_image import ImageVectorStore, metadata_filters, milvus_store

from mmrag.errors import StoreError, StoreMismatchError
from tests.server.eventually import in_the_end
from tests.server.rows import DIM, VECTORS, facts, nearest, row_id, rows

pytestmark = pytest.mark.server

N = 2_000
COLUMNS = {"price": float, "product": str}  # "shelf" stays dynamic


@pytest.fixture(scope="module")
def filled(milvus) -> ImageVectorStore:
    """A collection that tests only read, its index built."""
    store = milvus_store(milvus.uri, "filled", DIM, model="toy", scalar_fields=COLUMNS)
    store.add(rows(range(N)))
    store.client.flush("filled")  # rows of an open segment are compared one by one
    assert in_the_end(lambda: store.client.describe_index("filled", "embedding")["state"], "Finished")
    return store


@pytest.fixture
def store(milvus, collection) -> ImageVectorStore:
    """A collection of its own, for tests that write."""
    return milvus_store(milvus.uri, collection, DIM, model="toy", scalar_fields=COLUMNS)


def test_a_new_collection_has_an_hnsw_index_over_cosine(store):
    index = store.client.describe_index(store.collection_name, "embedding")
    assert (index["index_type"], index["metric_type"]) == ("HNSW", "COSINE")


def test_search_finds_what_an_exhaustive_search_finds(filled):
    found = [_search(filled, vector, 9) for vector in VECTORS[N : N + 50]]
    exact = [nearest(vector, range(N), 9) for vector in VECTORS[N : N + 50]]
    recall = np.mean([len(set(f) & set(e)) / 9 for f, e in zip(found, exact, strict=True)])
    assert recall >= 0.95


def test_a_hit_brings_back_its_image_and_metadata(filled):
    result = filled.query(VectorStoreQuery(VECTORS[7].tolist(), similarity_top_k=1))
    assert isinstance(result.nodes[0], ImageNode)
    assert result.nodes[0].image_path == "/shop/7.jpg"
    assert result.nodes[0].metadata == facts(7)
    assert result.similarities == pytest.approx([1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ("price < 20", lambda f: f["price"] < 20),
        ('product == "tote bag"', lambda f: f["product"] == "tote bag"),
        ("product == \"o'clock \\\"wall\\\"\"", lambda f: f["product"].startswith("o'clock")),
        ('product in ["mug", "lampshade"]', lambda f: f["product"] in ("mug", "lampshade")),
        ("shelf >= 98", lambda f: f["shelf"] >= 98),
        ("shelf not in [1, 2, 3]", lambda f: f["shelf"] not in (1, 2, 3)),
        ('price >= 900 or (shelf == 5 and product != "mug")',
         lambda f: f["price"] >= 900 or (f["shelf"] == 5 and f["product"] != "mug")),
    ],
)  # fmt: skip
def test_filters_on_typed_and_dynamic_fields_mean_what_they_say(filled, words, holds):
    found = filled.get_nodes(filters=metadata_filters(words))
    assert {n.node_id for n in found} == {row_id(i) for i in range(N) if holds(facts(i))}


def test_a_filtered_search_ranks_only_what_passes(filled):
    passing = [i for i in range(N) if facts(i)["product"] == "mug"]
    found = _search(filled, VECTORS[N], 9, filters=metadata_filters('product == "mug"'))
    assert found == nearest(VECTORS[N], passing, 9)


def test_rows_written_twice_are_stored_once_as_last_written(store):
    store.add(rows(range(500)))
    store.add(rows(range(500), season="winter"))
    assert store.count() == 500
    assert len(store.get_nodes(filters=metadata_filters('season == "winter"'))) == 500


def test_deleted_rows_are_gone_and_the_rest_stays(store):
    store.add(rows(range(300)))
    store.delete_nodes([row_id(i) for i in range(100)])
    store.delete_nodes(filters=metadata_filters("shelf >= 50"))
    kept = {row_id(i) for i in range(100, 300) if i % 100 < 50}
    everything = metadata_filters("price >= 0")
    assert in_the_end(lambda: {n.node_id for n in store.get_nodes(filters=everything)}, kept)
    assert in_the_end(store.count, len(kept))


def test_a_collection_opened_again_is_as_it_was(milvus, store):
    store.add(rows(range(100)))
    store.close()
    again = milvus_store(milvus.uri, store.collection_name, DIM, model="toy", scalar_fields=COLUMNS)
    assert again.count() == 100
    assert _search(again, VECTORS[7], 1) == [row_id(7)]


def test_several_processes_may_write_at_once(milvus, store):
    code = f"""
from llama_index.indices.composed_image import milvus_store
from tests.server.eventually import in_the_end
from tests.server.rows import DIM, rows
store = milvus_store({milvus.uri!r}, {store.collection_name!r}, DIM, model="toy")
store.add(rows(range(200, 400)))
"""
    other = subprocess.Popen([sys.executable, "-c", code])
    store.add(rows(range(200)))
    assert other.wait(timeout=120) == 0
    assert in_the_end(store.count, 400)


@pytest.mark.parametrize(("model", "dim"), [("another", DIM), ("toy", DIM * 2)])
def test_another_encoder_is_refused_by_the_name_of_both(milvus, store, model, dim):
    with pytest.raises(StoreMismatchError, match=rf"holds {DIM}-d vectors of 'toy'.*{model}.*{dim}"):
        milvus_store(milvus.uri, store.collection_name, dim, model=model)


def test_before_milvus_2_5_a_row_without_a_declared_column_is_refused_by_name(store):
    node = rows([1])[0]
    node.metadata = {"product": "mug"}
    with pytest.raises(StoreError, match=r"has no 'price'.*give every row a 'price'.*Milvus 2\.5"):
        store.add([node])


def test_the_longest_metadata_that_is_let_through_is_kept_by_the_server(store):
    length = bisect_left(range(40_000), True, key=lambda n: not _passes(store, 'é"' * n)) - 1
    (row,) = told = rows([1], story='é"' * length)
    store.add(told)
    assert store.get_nodes([row.node_id])[0].metadata["story"] == row.metadata["story"]
    with pytest.raises(StoreError, match="Milvus keeps 65,535: shorten 'story'"):
        store.add(rows([1], story='é"' * (length + 1)))


def _passes(store: ImageVectorStore, story: str) -> bool:
    try:
        store.row_schema.to_row(rows([1], story=story)[0])
    except StoreError:
        return False
    return True


def _search(store: ImageVectorStore, vector: np.ndarray, n: int, **options) -> list[str]:
    result = store.query(VectorStoreQuery(vector.tolist(), similarity_top_k=n, **options))
    return list(result.ids)
