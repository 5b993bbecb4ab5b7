"""A node is made ready for its collection in a copy, or refused with what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import ImageNode
from llama_index.indices.composed_image.rows import Rows

from mmrag.errors import StoreError

OLD_MILVUS = Rows("shop", 3, {"price": float, "kind": str}, frozenset({"price", "kind"}))


def test_where_no_column_may_be_empty_the_missing_one_is_named():
    node = ImageNode(id_="a", embedding=[1, 0, 0], metadata={"price": 2, "kind": None})
    with pytest.raises(StoreError, match=r"'a' has no 'kind'.*every row a 'kind', or use Milvus 2"):
        OLD_MILVUS.ready(node)


@given(vector=st.lists(st.integers(-1000, 1000), min_size=3, max_size=3), price=st.integers())
def test_a_ready_node_has_a_unit_vector_and_typed_columns_and_the_callers_is_untouched(vector, price):
    node = ImageNode(id_="a", embedding=vector, metadata={"price": str(price), "kind": 7})
    before = node.model_copy(deep=True)
    try:
        ready = OLD_MILVUS.ready(node)
    except StoreError:
        assert vector == [0, 0, 0]
        return
    assert sum(x * x for x in ready.embedding) == pytest.approx(1)
    assert ready.metadata == {"price": float(price), "kind": "7"}
    assert node == before
