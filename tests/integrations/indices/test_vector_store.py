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


def test_it_is_a_milvus_vector_store_with_everything_set_right(store):
    assert isinstance(store, MilvusVectorStore)
    facts = store.client.describe_index("shop", "embedding")
    assert (facts["metric_type"], facts["index_type"]) == ("COSINE", "FLAT")
    assert store.upsert_mode
    assert store.aclient is None
    assert store.class_name() == "MilvusVectorStore"


def test_writing_twice_doubles_nothing(store):
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
def test_every_index_type_on_offer_survives_a_reopening(opened, index_type):
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
def test_opening_it_as_something_else_names_both_sides(store, opened, changes, named):
    with pytest.raises(StoreMismatchError, match=named):
        opened(**changes)


def test_columns_that_are_not_as_wished_are_told_and_the_collection_serves(store, opened, caplog):
    caplog.set_level("INFO")
    again = opened(scalar_fields={"size": str, "price": str})
    assert again.columns == store.columns
    assert "has no column 'size'" in caplog.text
    assert "keeps 'price' as float, not as str" in caplog.text


def test_a_collection_somebody_else_made_is_left_alone(tmp_path, store, opened):
    MilvusVectorStore(uri=str(tmp_path / "s.db"), collection_name="other", dim=4, use_async_client=False)
    with pytest.raises(StoreMismatchError, match=r"'other'.*was not made by mmrag"):
        milvus_store(tmp_path / "s.db", "other", 4, model="toy")


def test_a_collection_made_anew_has_another_identity(store, opened):
    before = store.identity
    store.clear()
    assert opened().identity != before


def test_declared_columns_are_typed(store):
    store.add([node("a", price="2.5", stock="3", sold="false", kind=7)])
    row = store.client.get("shop", ids=["a"], output_fields=list(COLUMNS))[0]
    assert {key: row[key] for key in COLUMNS} == {
        "price": 2.5, "stock": 3, "sold": False, "kind": "7",
    }  # fmt: skip
    with pytest.raises(StoreError, match="'b', price: 'cheap' is no float"):
        store.add([node("b", price="cheap")])


def test_image_nodes_come_back_as_image_nodes_without_their_vector(shop):
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
def test_filters_find_what_they_say(shop, filters, wanted):
    assert sorted(ids(shop, metadata_filters(filters))) == sorted(wanted)


@pytest.mark.parametrize("key", ["", "a b", "1 == 1 or a", "kind) or (kind", "naïve"])
def test_a_key_that_is_no_name_is_refused(shop, key):
    nested = MetadataFilters(filters=[MetadataFilter(key=key, value=1)])
    with pytest.raises(QueryError, match="no field name"):
        ids(shop, MetadataFilters(filters=[nested]))
    with pytest.raises(QueryError, match="no field name"):
        shop.delete_nodes(filters=nested)


def test_a_negated_filter_is_refused_rather_than_misread(shop):
    terms = [MetadataFilter(key="kind", value="mug")]
    with pytest.raises(QueryError, match="use AND or OR"):
        ids(shop, MetadataFilters(filters=terms, condition=FilterCondition.NOT))


def test_deleting_or_asking_for_nothing_touches_nothing(store):
    store.add([node("a"), node("b")])
    store.delete_nodes([])
    assert store.get_nodes([]) == []
    assert store.count() == 2
    store.delete_nodes(["a"])
    assert [kept.node_id for kept in store.get_nodes(["a", "b"])] == ["b"]


def test_async_works_in_one_loop_after_another(store):
    async def write_and_search(name: str) -> list[str]:
        await store.async_add([node(name)])
        query = VectorStoreQuery(query_embedding=[1, 0, 0, 0], similarity_top_k=9)
        return sorted(found.node_id for found in (await store.aquery(query)).nodes)

    assert asyncio.run(write_and_search("a")) == ["a"]
    assert asyncio.run(write_and_search("b")) == ["a", "b"]
    asyncio.run(store.adelete_nodes(["a"]))
    assert [n.node_id for n in asyncio.run(store.aget_nodes(["a", "b"]))] == ["b"]


def test_a_place_that_cannot_be_one_is_told_with_the_remedy(tmp_path):
    with pytest.raises(StoreError, match=r"must end in '\.db'"):
        milvus_store(tmp_path / "shop", "shop", 4, model="toy")
    (tmp_path / "old.db").write_bytes(b"SQLite format 3")
    with pytest.raises(StoreError, match="as Milvus Lite 2 wrote them"):
        milvus_store(tmp_path / "old.db", "shop", 4, model="toy")


@pytest.mark.parametrize("uri", ["http://root:hunter2@localhost:1", "gopher://root:hunter2@x"])
def test_a_server_that_does_not_answer_is_named_without_its_password(uri, caplog):
    with pytest.raises(StoreError) as caught:
        milvus_store(uri, "shop", 4, model="toy", token="s3cret")
    told = f"{caught.value} {caught.value.__cause__!r} {caplog.text}"
    assert "hunter2" not in told
    assert "s3cret" not in told


def test_a_token_is_kept_nowhere(tmp_path):
    store = milvus_store(tmp_path / "s.db", "shop", 4, model="toy", token="s3cret")
    assert "s3cret" not in f"{store!r} {store.to_dict()}"
    assert b"s3cret" not in pickle.dumps(store)
    assert store.to_dict()["uri"] == str(tmp_path / "s.db")
    store.close()
