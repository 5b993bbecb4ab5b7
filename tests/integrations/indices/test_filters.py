"""A filter finds in a real collection what it says in Python, whatever its keys and values hold."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.indices.composed_image import ImageVectorStore, metadata_filters, milvus_store
from run_profile import scaled

from mmrag.errors import QueryError
from mmrag.filters import BooleanFilter, FieldComparison, Filter

HOSTILE = [
    "mug", "it's", 'say "hi"', "back\\slash", "\\", "'", '"', "\\'", '\\"', "a\nb", "\r\n", "\t",
    "100%", "_", "' or 1 == 1 or kind == '", '"] or kind not in ["', "чашка 🍵", "\u202egnp",
    "\x7f", "\x01", "\\n", "\\x41", "\\u0041", "{key}", "$meta", "true", "None", "", " ", "é",
    "e\u0301",
]  # fmt: skip
ROWS = {f"n{i}": value for i, value in enumerate(HOSTILE)}
NUMBERS = {name: i % 7 - 3 for i, name in enumerate(ROWS)}
COMPARED: dict[str, Callable] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
    "in": lambda value, among: value in among, "not in": lambda value, among: value not in among,
}  # fmt: skip

texts = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=8)
text_comparisons = st.builds(
    FieldComparison, st.sampled_from(["kind", "loose"]), st.sampled_from(["==", "!="]), texts
) | st.builds(
    FieldComparison,
    st.sampled_from(["kind", "loose"]),
    st.sampled_from(["in", "not in"]),
    st.lists(texts, min_size=1, max_size=3).map(tuple),
)
number_comparisons = st.builds(
    FieldComparison,
    st.sampled_from(["stock", "shelf"]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.integers(-4, 4) | st.floats(-4, 4),
)
filters = st.recursive(
    text_comparisons | number_comparisons,
    lambda inside: st.builds(
        BooleanFilter, st.sampled_from(["and", "or"]), st.lists(inside, min_size=2, max_size=3).map(tuple)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Each hostile text once, in a typed column and beside the columns; and small numbers."""
    folder = tmp_path_factory.mktemp("filters")
    store = milvus_store(folder / "s.db", "shop", 2, model="toy", scalar_fields={"kind": str, "stock": int})
    store.add([ImageNode(id_=name, image_path="/a.png", embedding=[1, 0], metadata=facts(name)) for name in ROWS])
    yield store
    store.close()


def facts(name: str) -> dict[str, str | int]:
    text, number = ROWS[name], NUMBERS[name]
    return {"kind": text, "loose": text, "stock": number, "shelf": number}


def holds(tree: Filter, row: dict[str, str | int]) -> bool:
    if isinstance(tree, FieldComparison):
        return COMPARED[tree.operator](row[tree.key], tree.value)
    return (all if tree.operator == "and" else any)(holds(term, row) for term in tree.operands)


def found(store: ImageVectorStore, filters: MetadataFilters) -> set[str]:
    query = VectorStoreQuery([1, 0], similarity_top_k=len(ROWS), filters=filters)
    return set(store.query(query).ids or [])


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["kind", "loose"])
def test_each_hostile_value_finds_itself_alone(store, key, value):
    (name,) = (name for name, text in ROWS.items() if text == value)
    for tree in (FieldComparison(key, "==", value), FieldComparison(key, "in", (value,))):
        assert found(store, metadata_filters(tree)) == {name}
        assert found(store, metadata_filters(str(tree))) == {name}
    for tree in (FieldComparison(key, "!=", value), FieldComparison(key, "not in", (value,))):
        assert found(store, metadata_filters(tree)) == ROWS.keys() - {name}


@settings(max_examples=scaled(fast=40, full=300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=filters)
@example(tree=FieldComparison("kind", "in", ("a\\", "' or 1 == 1")))
def test_a_filter_finds_what_it_says_in_python(store, tree):
    wanted = {name for name in ROWS if holds(tree, facts(name))}
    assert found(store, metadata_filters(tree)) == wanted
    nodes = store.get_nodes(filters=metadata_filters(str(tree)))
    assert {node.node_id for node in nodes} == wanted


@settings(max_examples=scaled(fast=30, full=300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=texts, value=texts, operator=st.sampled_from(list(FilterOperator)))
def test_a_key_of_any_text_is_a_name_or_refused(store, key, value, operator):
    term = MetadataFilter(key=key, value=value, operator=operator)
    if not key.isidentifier():
        with pytest.raises(QueryError, match="no field name"):
            found(store, MetadataFilters(filters=[term]))


@settings(max_examples=scaled(fast=30, full=300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prefix=texts)
@example(prefix="\ud7ff")
@example(prefix="m\U0010ffff")
@example(prefix="\U0010ffff")
def test_a_prefix_says_no_more_than_itself(store, prefix):
    term = MetadataFilter(key="kind", value=prefix, operator=FilterOperator.TEXT_MATCH)
    wanted = {name for name, text in ROWS.items() if text.startswith(prefix)}
    assert found(store, MetadataFilters(filters=[term])) == wanted


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), {"a": 1}, ["a", None], object()])
def test_a_value_that_cannot_be_compared_is_refused_not_dropped(store, value):
    term = MetadataFilter.model_construct(key="kind", value=value, operator=FilterOperator.EQ)
    with pytest.raises(QueryError, match="cannot compare with"):
        found(store, MetadataFilters(filters=[term]))


@pytest.mark.parametrize("name", ['n0"] or id != "', "n0' or '1' == '1", '\\"] or id in ["n0', "n0"])
def test_ids_and_documents_are_names_and_no_more(store, name):
    nearest = VectorStoreQuery([1, 0], similarity_top_k=9)
    assert set(store.query(replace(nearest, node_ids=[name])).ids) == {"n0"} & {name}
    assert store.query(replace(nearest, doc_ids=[name])).ids == []
    assert [node.node_id for node in store.get_nodes([name])] == ["n0"] * (name == "n0")
    before = store.count()
    store.delete(name)  # a document of which there are no nodes
    if name != "n0":
        store.delete_nodes([name])
    assert store.count() == before


def test_ids_and_a_filter_must_both_hold(store):
    either = metadata_filters("kind == 'mug' or stock == 0")
    assert [node.node_id for node in store.get_nodes(["n0", "n1"], either)] == ["n0"]


def test_a_filter_of_nothing_deletes_nothing(store):
    store.delete_nodes(filters=MetadataFilters(filters=[]))
    store.delete_nodes(filters=MetadataFilters(filters=[MetadataFilters(filters=[])]))
    assert store.count() == len(ROWS)
