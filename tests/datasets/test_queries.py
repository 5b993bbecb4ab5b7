"""A query's words and image lead to its wish, and its judgements say what answers it."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.datasets import EVERYTHING, HELD_OUT, Kind, Shelf, make_query, plan_catalog, qrels, queries, write_queries
from mmrag.errors import QueryError

kinds, seeds = st.sampled_from(Kind), st.integers()
ITEMS = plan_catalog(300, seed=1)


def test_a_shelf_holds_all_pairs_or_all_but_some():
    assert len(EVERYTHING.colors) == 144
    seen = EVERYTHING.without(HELD_OUT)
    assert len(seen.colors) == 124
    assert not HELD_OUT & set(seen.colors)


@given(kind=kinds, seed=seeds)
def test_held_out_pairs_are_neither_shown_nor_wished_for(kind, seed):
    query = make_query(kind, Random(seed), EVERYTHING.without(HELD_OUT))
    assert (query.wish.product, query.wish.pattern) not in HELD_OUT
    if query.shown is not None:
        assert (query.shown.product, query.shown.pattern) not in HELD_OUT


@given(kind=kinds, seed=seeds)
def test_the_image_shows_what_its_kind_says(kind, seed):
    query = make_query(kind, Random(seed))
    wish, shown = query.wish, query.shown
    if shown is None:
        assert kind is Kind.TEXT
        return
    same = (shown.product == wish.product, shown.pattern == wish.pattern, shown.color == wish.color)
    assert (
        same
        == {
            Kind.SWATCH_PRODUCT: (False, True, False),
            Kind.PRODUCT_PRODUCT: (False, True, False),
            Kind.REPATTERN: (True, False, False),
            Kind.RECOLOR: (True, True, False),
            Kind.IMAGE: (True, True, True),
        }[kind]
    )
    assert (shown.product is None) == (kind is Kind.SWATCH_PRODUCT)
    assert (wish.color is None) == (kind not in (Kind.RECOLOR, Kind.IMAGE))


@pytest.mark.parametrize("kind", Kind)
def test_every_query_has_an_exact_answer_in_the_catalog(kind):
    for query in queries(kind, 40, seed=2, catalog=ITEMS):
        grades = [query.wish.grade(i.product, i.pattern, i.color) for i in ITEMS]
        assert 2 in grades


@pytest.mark.parametrize("kind", Kind)
def test_queries_follow_from_kind_and_seed(kind):
    assert queries(kind, 5, seed=1) == queries(kind, 5, seed=1)
    assert queries(kind, 5, seed=1) != queries(kind, 5, seed=2)
    assert len({query.id for query in queries(kind, 5, seed=1)}) == 5


def test_the_text_sometimes_names_the_color():
    named = sum(query.wish.color is not None for query in queries(Kind.TEXT, 200, seed=0))
    assert 40 < named < 120


def test_a_query_draws_its_image_or_has_none():
    (recolor,) = queries(Kind.RECOLOR, 1, seed=1)
    image = recolor.image(size=48)
    assert image is not None
    assert image.size == (48, 48)
    assert image == recolor.image(size=48)
    (text,) = queries(Kind.TEXT, 1, seed=1)
    assert text.image() is None


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(QueryError, match=r"'riddle'.*swatch_product"):
        queries("riddle", 1, seed=0)


def test_a_shelf_too_small_for_a_kind_says_so():
    with pytest.raises(QueryError, match="larger catalog"):
        make_query(Kind.REPATTERN, Random(0), Shelf({("mug", "star"): ("red",)}))


def test_judgements_agree_with_the_wishes_and_leave_out_zeros():
    asked = queries(Kind.RECOLOR, 10, seed=4, catalog=ITEMS)
    judged = {
        (query, item): int(grade)
        for query, zero, item, grade in (line.split() for line in qrels(asked, ITEMS))
        if zero == "0"
    }
    for query in asked:
        for item in ITEMS:
            grade = query.wish.grade(item.product, item.pattern, item.color)
            assert judged.get((query.id, item.id), 0) == grade


def test_queries_are_written_with_images_and_judgements(tmp_path):
    asked = [query for kind in Kind for query in queries(kind, 2, seed=6, catalog=ITEMS)]
    write_queries(tmp_path, asked, ITEMS)
    lines = [json.loads(line) for line in (tmp_path / "queries.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [query.id for query in asked]
    for line, query in zip(lines, asked, strict=True):
        assert (line["text"], line["wish"]["product"]) == (query.text, query.wish.product)
        assert (line["image"] is None) == (query.kind is Kind.TEXT)
        assert line["image"] is None or (tmp_path / line["image"]).stat().st_size > 1000
    assert (tmp_path / "qrels.txt").read_text().splitlines() == qrels(asked, ITEMS)
