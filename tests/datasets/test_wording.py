"""Sentences name what the target says and the image does not show."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, QueryType, Target
from mmrag.datasets.wording import COLOR_WORDS, PATTERN_ADJECTIVES, PATTERN_NOUNS, PRODUCT_WORDS, TEMPLATES, sentence


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.mark.parametrize("query_type", [query_type for query_type in QueryType if query_type is not QueryType.IMAGE])
def test_a_query_type_has_a_dozen_templates_or_more(query_type):
    assert len(set(TEMPLATES[query_type])) >= 12


def test_every_attribute_has_words_with_its_own_name_first():
    for names, tables in ((PRODUCTS, [PRODUCT_WORDS]), (PATTERNS, [PATTERN_ADJECTIVES]), (COLORS, [COLOR_WORDS])):
        for table in tables:
            assert list(table) == list(names)
            assert all(table[name][0] == name for name in names)
    assert set(PATTERN_NOUNS) == set(PATTERNS)


@pytest.mark.parametrize("table", [PRODUCT_WORDS, PATTERN_ADJECTIVES, PATTERN_NOUNS, COLOR_WORDS])
def test_no_word_means_two_things(table):
    words = [word for synonyms in table.values() for word in synonyms]
    assert len(set(words)) == len(words)


@given(seed=st.integers())
def test_attributes_that_the_image_shows_are_not_named(seed):
    words = words_of(sentence(QueryType.RECOLOR, Target("mug", "zebra", "green"), Random(seed)))
    assert "green" in words
    assert not {"mug", "cup", "zebra"} & set(words)


@given(seed=st.integers())
def test_the_article_fits_its_word(seed):
    words = words_of(sentence(QueryType.TEXT, Target("umbrella", "camouflage", "orange"), Random(seed)))
    pairs = list(pairwise(words))
    assert all(after[0] not in "aeiou" for word, after in pairs if word == "a")
    assert all(after[0] in "aeiou" for word, after in pairs if word == "an")
