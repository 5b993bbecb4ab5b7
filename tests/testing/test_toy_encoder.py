"""The toy encoder means something, and the same everywhere."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from mmrag.query import Query
from mmrag.testing import toy_encoder

RED, BLUE = (Image.new("RGB", (9, 7), color) for color in ("red", "blue"))


def similarity(a, b) -> float:
    one, other = toy_encoder().encode([a, b])
    return float(one @ other)


def test_vectors_have_length_one_and_keep_the_order():
    vectors = toy_encoder().encode(["red", RED, Query("red", RED)])
    assert vectors.shape == (3, toy_encoder().info.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(vectors[1], toy_encoder().encode([RED])[0])


def test_no_items_make_no_vectors():
    assert toy_encoder().encode([]).shape == (0, toy_encoder().info.dim)


def test_an_image_is_most_like_itself():
    assert similarity(RED, RED) == pytest.approx(1)
    assert similarity(RED, BLUE) < 0.6


def test_a_colors_name_means_the_color():
    assert similarity("a red mug", RED) > similarity("a red mug", BLUE)


def test_a_composed_query_lies_between_its_parts():
    wish = Query("in red", BLUE)
    assert similarity(wish, RED) > similarity(BLUE, RED)
    assert similarity(wish, BLUE) > similarity("in red", BLUE)


def test_it_is_the_same_in_every_process():
    # red is the fourth color; sha256(b"red") begins with 0xb1, which is 49 modulo 64 bins
    vector = toy_encoder().encode(["red"])[0]
    assert np.flatnonzero(vector).tolist() == [3, 12 + 49]


def test_it_can_be_pickled():
    assert pickle.loads(pickle.dumps(toy_encoder("mine"))) == toy_encoder("mine")


def test_it_encodes_all_kinds():
    assert toy_encoder().info.kinds == {"text", "image", "composed"}


def test_a_text_with_markdown_is_never_parsed():
    assert similarity("red ![](nowhere.png)", "nowhere red png") == pytest.approx(1)
