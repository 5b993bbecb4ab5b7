"""Queries: types, targets, images and grades, in memory and as files."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.datasets import ALL_PAIRS, QueryType, make_query, plan_catalog, qrels, queries, write_queries
from mmrag.errors import QueryError

query_types, seeds = st.sampled_from(QueryType), st.integers()
ITEMS = plan_catalog(300, seed=1)


@given(query_type=query_types, seed=seeds)
def test_only_the_given_pairs_are_shown_or_targets(query_type, seed):
    assert len(ALL_PAIRS) == 144
    pairs = {pair: colors for pair, colors in list(ALL_PAIRS.items())[::3]}
    query = make_query(query_type, Random(seed), pairs)
    assert (query.target.product, query.target.pattern) in pairs
    if query.image_spec is not None and query.image_spec.product is not None:
        assert (query.image_spec.product, query.image_spec.pattern) in pairs


@given(query_type=query_types, seed=seeds)
def test_the_query_type_decides_what_the_image_shares_with_the_target(query_type, seed):
    query = make_query(query_type, Random(seed))
    target, shown = query.target, query.image_spec
    if shown is None:
        assert query_type is QueryType.TEXT
        return
    same = (shown.product == target.product, shown.pattern == target.pattern, shown.color == target.color)
    assert (
        same
        == {
            QueryType.SWATCH_PRODUCT: (False, True, False),
            QueryType.PRODUCT_PRODUCT: (False, True, False),
            QueryType.REPATTERN: (True, False, False),
            QueryType.RECOLOR: (True, True, False),
            QueryType.IMAGE: (True, True, True),
        }[query_type]
    )
    assert (shown.product is None) == (query_type is QueryType.SWATCH_PRODUCT)
    assert (target.color is None) == (query_type not in (QueryType.RECOLOR, QueryType.IMAGE))


@pytest.mark.parametrize("query_type", QueryType)
def test_every_query_has_an_exact_answer_in_the_catalog(query_type):
    for query in queries(query_type, 40, seed=2, catalog=ITEMS):
        grades = [query.target.grade(i.product, i.pattern, i.color) for i in ITEMS]
        assert 2 in grades


@pytest.mark.parametrize("query_type", QueryType)
def test_queries_are_deterministic_by_type_and_seed(query_type):
    assert queries(query_type, 5, seed=1) == queries(query_type, 5, seed=1)
    assert queries(query_type, 5, seed=1) != queries(query_type, 5, seed=2)
    assert len({query.id for query in queries(query_type, 5, seed=1)}) == 5


def test_some_text_queries_name_a_color():
    named = sum(query.target.color is not None for query in queries(QueryType.TEXT, 200, seed=0))
    assert 40 < named < 120


def test_a_query_draws_its_image_or_has_none():
    (recolor,) = queries(QueryType.RECOLOR, 1, seed=1)
    image = recolor.image(size=48)
    assert image is not None
    assert image.size == (48, 48)
    assert image == recolor.image(size=48)
    (text,) = queries(QueryType.TEXT, 1, seed=1)
    assert text.image() is None


def test_an_unknown_query_type_raises_with_the_known_ones():
    with pytest.raises(QueryError, match=r"'riddle'.*swatch_product"):
        queries("riddle", 1, seed=0)


def test_too_few_pairs_for_a_query_type_raise_query_error():
    with pytest.raises(QueryError, match="larger catalog"):
        make_query(QueryType.REPATTERN, Random(0), {("mug", "star"): ("red",)})


def test_qrels_are_the_targets_grades_without_zeros():
    drawn = queries(QueryType.RECOLOR, 10, seed=4, catalog=ITEMS)
    judged = {
        (query, item): int(grade)
        for query, zero, item, grade in (line.split() for line in qrels(drawn, ITEMS))
        if zero == "0"
    }
    for query in drawn:
        for item in ITEMS:
            grade = query.target.grade(item.product, item.pattern, item.color)
            assert judged.get((query.id, item.id), 0) == grade


def test_queries_are_written_with_images_and_qrels(tmp_path):
    drawn = [query for query_type in QueryType for query in queries(query_type, 2, seed=6, catalog=ITEMS)]
    write_queries(tmp_path, drawn, ITEMS)
    lines = [json.loads(line) for line in (tmp_path / "queries.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [query.id for query in drawn]
    for line, query in zip(lines, drawn, strict=True):
        assert (line["text"], line["target"]["product"]) == (query.text, query.target.product)
        assert (line["image"] is None) == (query.query_type is QueryType.TEXT)
        assert line["image"] is None or (tmp_path / line["image"]).stat().st_size > 1000
    assert (tmp_path / "qrels.txt").read_text().splitlines() == qrels(drawn, ITEMS)
