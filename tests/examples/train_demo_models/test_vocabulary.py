"""The vocabulary of the demo models holds every word of queries and titles."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.train_demo_models.vocabulary import vocabulary, words_of
from mmrag.datasets import QueryType, make_query, plan_catalog
from mmrag.datasets.wording import PRODUCT_WORDS, plural

KNOWN = frozenset(vocabulary())


@given(query_type=st.sampled_from(QueryType), seed=st.integers())
def test_queries_are_within_the_vocabulary(query_type, seed):
    text = make_query(query_type, Random(seed)).text
    assert set(words_of(text)) <= KNOWN
    assert "{" not in text
    assert bool(text) == (query_type is not QueryType.IMAGE)


def test_titles_are_within_the_vocabulary():
    words = {word for item in plan_catalog(144) for word in words_of(item.title)}
    assert words <= KNOWN


@pytest.mark.parametrize(
    "words",
    [
        "phone case with this",
        "phone case with this pattern",
        "same but red",
        "this but in red",
        "tote bag with the same pattern",
        "do you have this in blue?",
        "I want leopard print sneakers",
        "show me parasols with zebra stripes",
        "looking for a tartan rucksack",
        "a gray t-shirt with no pattern",
    ],
)
def test_common_phrasings_are_in_the_vocabulary(words):
    assert set(words_of(words)) <= KNOWN


def test_plurals_are_within_the_vocabulary():
    for names in PRODUCT_WORDS.values():
        for name in names:
            assert plural(name) != name
            assert set(words_of(plural(name))) <= KNOWN
