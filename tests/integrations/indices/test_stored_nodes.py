"""Nodes in a store: what cannot be kept is refused by name, all else comes back as it was."""

from __future__ import annotations

import math

import pytest
from llama_index.core.schema import Document, ImageNode, MediaResource, Node, TextNode
from sample_nodes import ids, node

from mmrag.errors import StoreError


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ([math.nan, 0, 0, 0], "length nan"),
        ([math.inf, 0, 0, 0], "length inf"),
        ([0, 0, 0, 0], "length 0"),
        ([1, 0], r"shape \(2,\).*'shop' holds 4-d"),
    ],
)
def test_a_vector_that_is_zero_or_not_finite_is_refused(store, bad, named):
    with pytest.raises(StoreError, match=rf"'a' has a vector of {named}"):
        store.add([node("a", bad)])
    with pytest.raises(StoreError, match=rf"the query has a vector of {named}"):
        ids(store, vector=bad)
    assert store.count() == 0


def test_every_stored_vector_has_length_one(store):
    store.add([node("a", [3, 4, 0, 0])])
    assert store.vectors(["a", "unknown"]) == {"a": pytest.approx([0.6, 0.8, 0, 0])}


def test_a_node_without_an_embedding_is_named(store):
    with pytest.raises(StoreError, match="'a' has no embedding"):
        store.add([ImageNode(id_="a", image_path="/a.png")])


def test_a_node_with_a_base64_image_is_refused(store):
    with pytest.raises(StoreError, match="'a' holds its image as base64"):
        store.add([ImageNode(id_="a", image="AAAA", embedding=[1, 0, 0, 0])])
    with pytest.raises(StoreError, match="'a' holds its image as base64"):
        resource = MediaResource(data=b"AAAA")
        store.add([Document(id_="a", image_resource=resource, embedding=[1, 0, 0, 0])])
    store.add([ImageNode(id_="a", image="AAAA", image_path="/a.png", embedding=[1, 0, 0, 0])])
    kept = store.get_nodes(["a"])[0]
    assert (kept.image, kept.image_path) == (None, "/a.png")


@pytest.mark.parametrize("node_class", [Document, Node])
@pytest.mark.parametrize("address", ["/a.png", "https://shop.example/a.png"])
def test_a_document_is_restored_with_its_image(node_class, address, store):
    place = {"url": address} if ":" in address else {"path": address}
    words = {"text": "a mug"} if node_class is Document else {"text_resource": MediaResource(text="a mug")}
    document = node_class(
        id_="a", image_resource=MediaResource(**place), metadata={"price": 3.5}, embedding=[1, 0, 0, 0], **words
    )
    store.add([document])
    (kept,) = store.get_nodes(["a"])
    assert (kept.text, kept.metadata["price"]) == ("a mug", 3.5)
    assert address in (kept.image_path, kept.image_url)


def test_a_text_node_of_the_new_class_is_restored(store):
    words = MediaResource(text="a mug")
    store.add([Node(id_="a", text_resource=words, embedding=[1, 0, 0, 0])])
    assert store.get_nodes(["a"])[0].get_content() == "a mug"


def test_ids_that_could_break_an_expression_are_refused(store):
    with pytest.raises(StoreError, match="may not hold quotes"):
        store.add([node('a" or "" == "')])


def test_added_nodes_are_not_modified(store):
    mine = node("a", [3, 4, 0, 0], price="2.5", note=None)
    before = mine.model_copy(deep=True)
    store.add([mine])
    assert mine == before


def test_text_nodes_are_kept_too(store):
    store.add([TextNode(id_="t", text="a mug", embedding=[1, 0, 0, 0])])
    assert store.get_nodes(["t"])[0].get_content() == "a mug"
