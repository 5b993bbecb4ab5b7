"""A node is converted to a row of its collection, or refused with what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import ImageNode
from llama_index.indices.composed_image.schema import RowSchema
from llama_index.indices.composed_image.vector_store import unit_vector

from mmrag.errors import StoreError

OLD_MILVUS = RowSchema({"price": float, "kind": str}, frozenset({"price", "kind"}))


def test_a_missing_value_of_a_required_column_is_an_error():
    node = ImageNode(id_="a", embedding=[1, 0, 0], metadata={"price": 2, "kind": None})
    with pytest.raises(StoreError, match=r"'a' has no 'kind'.*every row a 'kind', or use Milvus 2"):
        OLD_MILVUS.to_row(node)


@given(vector=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3), price=st.integers())
def test_a_row_has_typed_columns_and_a_unit_vector_and_the_node_is_unchanged(vector, price):
    node = ImageNode(id_="a", embedding=vector, metadata={"price": str(price), "kind": 7})
    before = node.model_copy(deep=True)
    row = OLD_MILVUS.to_row(node)
    assert (row["price"], row["kind"], row["id"]) == (float(price), "7", "a")
    if vector == [0, 0, 0]:
        with pytest.raises(StoreError, match="length 0"):
            unit_vector(node.embedding, 3, "a", "shop")
    else:
        assert sum(x * x for x in unit_vector(node.embedding, 3, "a", "shop")) == pytest.approx(1)
    assert node == before
