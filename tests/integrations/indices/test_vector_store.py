"""A store opened right: by whom it was made is checked, and nothing wrong gets in."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.indices.composed_image import metadata_filters, milvus_store
from llama_index.vector_stores.milvus import MilvusVectorStore
from sample_nodes import COLUMNS, ids, node

from mmrag.errors import QueryError, StoreError, StoreMismatchError


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    store = milvus_store(folder / "s.db", "shop", 4, model="toy", scalar_fields=COLUMNS)
    axes = [[float(i == j) for j in range(4)] for i in range(4)]
    store.add(
        [
            node("a", axes[0], price=1, kind="mug", sold=True, stock=3, size="big"),
            node("b", axes[1], price=2, kind='it\'s a \\ "cup"', sold=False, stock=3, size="s"),
            node("c", axes[2], price=3, kind="mug", sold=True, stock=0),
            node("d", axes[3], kind="100%"),
        ]
    )
    yield store
    store.close()


def test_it_is_a_milvus_vector_store_with_cosine_similarity_and_upserts(store):
    assert isinstance(store, MilvusVectorStore)
    facts = store.client.describe_index("shop", "embedding")
    assert (facts["metric_type"], facts["index_type"]) == ("COSINE", "FLAT")
    assert store.upsert_mode
    assert store.aclient is None
    assert store.class_name() == "MilvusVectorStore"


def test_adding_twice_upserts(store):
    store.add([node("a"), node("b")])
    store.add([node("a"), node("b")])
    assert store.count() == 2


def test_a_reopened_collection_can_be_searched(opened):
    first = opened()
    first.add([node("a")])
    first.close()
    again = opened()
    assert ids(again) == ["a"]
    assert again.identity == first.identity
    again.close()


@pytest.mark.parametrize("index_type", ["FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8"])
def test_every_index_type_survives_a_reopening(opened, index_type):
    first = opened(index_type=index_type)
    first.add([node(f"n{i}", [1, i / 64, 0, 0]) for i in range(64)])
    first.client.flush("shop")
    first.close()
    again = opened()
    assert ids(again, vector=(1, 0, 0, 0))[0] == "n0"
    again.close()


@pytest.mark.parametrize("index_type", ["IVF_PQ", "DISKANN", "SCANN"])
def test_index_types_that_do_not_survive_are_refused(opened, index_type):
    with pytest.raises(StoreError, match=f"'{index_type}' is not supported: choose FLAT"):
        opened(index_type=index_type)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "bge"}, r"4-d vectors of 'toy', this encoder is 'bge' and makes 4-d"),
        ({"dim": 5}, r"4-d vectors of 'toy', this encoder is 'toy' and makes 5-d"),
    ],
)
def test_a_mismatch_of_encoder_or_dimension_names_both(store, opened, changes, named):
    with pytest.raises(StoreMismatchError, match=named):
        opened(**changes)


def test_columns_of_another_type_are_logged_and_the_collection_is_opened(store, opened, caplog):
    caplog.set_level("INFO")
    again = opened(scalar_fields={"size": str, "price": str})
    assert again.columns == store.columns
    assert "has no column 'size'" in caplog.text
    assert "keeps 'price' as float, not as str" in caplog.text


def test_a_collection_not_created_by_mmrag_is_refused(tmp_path, store, opened):
    MilvusVectorStore(uri=str(tmp_path / "s.db"), collection_name="other", dim=4, use_async_client=False)
    with pytest.raises(StoreMismatchError, match=r"'other'.*was not made by mmrag"):
        milvus_store(tmp_path / "s.db", "other", 4, model="toy")


def test_a_recreated_collection_has_another_identity(store, opened):
    before = store.identity
    store.clear()
    assert opened().identity != before


def test_scalar_fields_are_typed_columns(store):
    store.add([node("a", price="2.5", stock="3", sold="false", kind=7)])
    row = store.client.get("shop", ids=["a"], output_fields=list(COLUMNS))[0]
    assert {key: row[key] for key in COLUMNS} == {
        "price": 2.5, "stock": 3, "sold": False, "kind": "7",
    }  # fmt: skip
    with pytest.raises(StoreError, match="'b', price: 'cheap' is no float"):
        store.add([node("b", price="cheap")])


def test_image_nodes_are_restored_without_their_embedding(shop):
    found = shop.query(VectorStoreQuery(query_embedding=[1, 0, 0, 0], similarity_top_k=1))
    assert type(found.nodes[0]) is ImageNode
    assert found.nodes[0].image_path == "/shop/a.png"
    assert found.nodes[0].embedding is None
    assert found.similarities[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ("price < 3", "ab"),
        ("sold == true", "ac"),
        ("kind == 'mug'", "ac"),
        ('kind == "it\'s a \\\\ \\"cup\\""', "b"),
        ('kind in ["it\'s a \\\\ \\"cup\\"", "x"]', "b"),
        ('kind not in ["mug"]', "bd"),
        ('kind == "100%"', "d"),
        ('size == "big"', "a"),
        ("stock in [0, 1]", "c"),
        ("price == 1 or (stock == 3 and price > 1)", "ab"),
        ("nothing == 1", ""),
    ],
)
def test_filters_return_the_matching_nodes(shop, filters, wanted):
    assert sorted(ids(shop, metadata_filters(filters))) == sorted(wanted)


@pytest.mark.parametrize("key", ["", "a b", "1 == 1 or a", "kind) or (kind", "naïve"])
def test_a_filter_key_that_is_no_field_name_is_refused(shop, key):
    nested = MetadataFilters(filters=[MetadataFilter(key=key, value=1)])
    with pytest.raises(QueryError, match="no field name"):
        ids(shop, MetadataFilters(filters=[nested]))
    with pytest.raises(QueryError, match="no field name"):
        shop.delete_nodes(filters=nested)


def test_a_negated_filter_is_refused(shop):
    terms = [MetadataFilter(key="kind", value="mug")]
    with pytest.raises(QueryError, match="use AND or OR"):
        ids(shop, MetadataFilters(filters=terms, condition=FilterCondition.NOT))


def test_empty_ids_and_filters_delete_and_fetch_nothing(store):
    store.add([node("a"), node("b")])
    store.delete_nodes([])
    assert store.get_nodes([]) == []
    assert store.count() == 2
    store.delete_nodes(["a"])
    assert [kept.node_id for kept in store.get_nodes(["a", "b"])] == ["b"]


def test_async_methods_work_in_several_event_loops(store):
    async def write_and_search(name: str) -> list[str]:
        await store.async_add([node(name)])
        query = VectorStoreQuery(query_embedding=[1, 0, 0, 0], similarity_top_k=9)
        return sorted(found.node_id for found in (await store.aquery(query)).nodes)

    assert asyncio.run(write_and_search("a")) == ["a"]
    assert asyncio.run(write_and_search("b")) == ["a", "b"]
    asyncio.run(store.adelete_nodes(["a"]))
    assert [n.node_id for n in asyncio.run(store.aget_nodes(["a", "b"]))] == ["b"]


def test_a_uri_that_cannot_be_opened_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(StoreError, match=r"must end in '\.db'"):
        milvus_store(tmp_path / "shop", "shop", 4, model="toy")
    (tmp_path / "old.db").write_bytes(b"SQLite format 3")
    with pytest.raises(StoreError, match="as Milvus Lite 2 wrote them"):
        milvus_store(tmp_path / "old.db", "shop", 4, model="toy")


@pytest.mark.parametrize("uri", ["http://root:hunter2@localhost:1", "gopher://root:hunter2@x"])
def test_an_unreachable_server_is_named_without_its_password(uri, caplog):
    with pytest.raises(StoreError) as caught:
        milvus_store(uri, "shop", 4, model="toy", token="s3cret")
    told = f"{caught.value} {caught.value.__cause__!r} {caplog.text}"
    assert "hunter2" not in told
    assert "s3cret" not in told


def test_a_token_is_not_stored(tmp_path):
    store = milvus_store(tmp_path / "s.db", "shop", 4, model="toy", token="s3cret")
    assert "s3cret" not in f"{store!r} {store.to_dict()}"
    assert b"s3cret" not in pickle.dumps(store)
    assert store.to_dict()["uri"] == str(tmp_path / "s.db")
    store.close()
