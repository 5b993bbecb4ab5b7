"""Every sentence is made of the vocabulary, and says what is wished and nothing else."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, Kind, Wish, make_query, plan_catalog
from mmrag.datasets.synonyms import COLOR_WORDS, PATTERN_ADJECTIVES, PATTERN_NOUNS, PRODUCT_WORDS
from mmrag.datasets.wording import TEMPLATES, plural, sentence, vocabulary, words_of

KNOWN = frozenset(vocabulary())


@given(kind=st.sampled_from(Kind), seed=st.integers())
def test_a_query_is_made_of_known_words(kind, seed):
    text = make_query(kind, Random(seed)).text
    assert set(words_of(text)) <= KNOWN
    assert "{" not in text
    assert bool(text) == (kind is not Kind.IMAGE)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.IMAGE])
def test_a_kind_is_worded_in_a_dozen_ways_or_more(kind):
    assert len(set(TEMPLATES[kind])) >= 12


def test_titles_are_made_of_known_words():
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
def test_what_people_type_is_known(words):
    assert set(words_of(words)) <= KNOWN


def test_every_attribute_has_words_its_own_name_first():
    for names, tables in ((PRODUCTS, [PRODUCT_WORDS]), (PATTERNS, [PATTERN_ADJECTIVES]), (COLORS, [COLOR_WORDS])):
        for table in tables:
            assert list(table) == list(names)
            assert all(table[name][0] == name for name in names)
    assert set(PATTERN_NOUNS) == set(PATTERNS)


@pytest.mark.parametrize("table", [PRODUCT_WORDS, PATTERN_ADJECTIVES, PATTERN_NOUNS, COLOR_WORDS])
def test_no_word_means_two_things(table):
    words = [word for synonyms in table.values() for word in synonyms]
    assert len(set(words)) == len(words)


def test_plurals_are_known_words():
    for names in PRODUCT_WORDS.values():
        for name in names:
            assert plural(name) != name
            assert set(words_of(plural(name))) <= KNOWN


@given(seed=st.integers())
def test_what_the_image_shows_stays_unsaid(seed):
    said = words_of(sentence(Kind.RECOLOR, Wish("mug", "zebra", "green"), Random(seed)))
    assert "green" in said
    assert not {"mug", "cup", "zebra"} & set(said)


@given(seed=st.integers())
def test_the_article_fits_its_word(seed):
    said = words_of(sentence(Kind.TEXT, Wish("umbrella", "camouflage", "orange"), Random(seed)))
    pairs = list(pairwise(said))
    assert all(after[0] not in "aeiou" for word, after in pairs if word == "a")
    assert all(after[0] in "aeiou" for word, after in pairs if word == "an")
