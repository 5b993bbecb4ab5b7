"""Filters parse exactly, format exactly, and raise with the column of the error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import QueryError
from mmrag.filters import MAX_DEPTH, BooleanFilter, FieldComparison, Filter, parse_filter

keys = st.from_regex(r"[a-z_][a-z0-9_]{2,8}", fullmatch=True).filter(
    lambda key: key not in {"and", "not", "true", "false"}
)
scalars = st.one_of(
    st.booleans(),
    st.integers(min_value=-(10**17), max_value=10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
comparisons = st.one_of(
    st.builds(FieldComparison, keys, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), scalars),
    st.builds(
        FieldComparison, keys, st.sampled_from(["in", "not in"]), st.lists(scalars, min_size=1, max_size=4).map(tuple)
    ),
)


def boolean_filters(inside: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    operands = st.lists(inside, min_size=2, max_size=3).map(tuple)
    return st.builds(BooleanFilter, st.sampled_from(["and", "or"]), operands)


filters = st.recursive(comparisons, boolean_filters, max_leaves=8)


@given(tree=filters)
def test_str_and_parse_filter_are_a_round_trip(tree):
    assert parse_filter(str(tree)) == tree


@given(text=st.text(alphabet="abin()[]<>=!\"'\\,. 12notrue", max_size=40))
def test_any_text_parses_or_raises_queryerror(text):
    try:
        parse_filter(text)
    except QueryError as error:
        assert "column" in str(error)


def test_and_binds_tighter_than_or():
    a, b, c = (FieldComparison(key, "==", 1) for key in "abc")
    assert parse_filter("a == 1 or b == 1 and c == 1") == BooleanFilter("or", (a, BooleanFilter("and", (b, c))))
    assert parse_filter("(a == 1 or b == 1) and c == 1") == BooleanFilter("and", (BooleanFilter("or", (a, b)), c))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("40", 40),
        ("-1.5", -1.5),
        ("2e3", 2000.0),
        ("true", True),
        ('"a \\"b\\" \\\\"', 'a "b" \\'),
        ("'it is'", "it is"),
        ('"1"', "1"),
    ],
)
def test_a_value_keeps_its_type(text, value):
    found = parse_filter(f"key == {text}")
    assert isinstance(found, FieldComparison)
    assert found.value == value
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected a field name, found the end"),
        ("price <", "column 8: expected a value, found the end"),
        ("product == mug", r'column 12: expected a value \(text stands in quotes: "mug"\)'),
        ("price = 4", "column 7: expected one of"),
        ("a == 1 b == 2", "column 8: expected the end, found 'b'"),
        ("(a == 1", r"column 8: expected '\)'"),
        ("a in 3", "column 6: expected a list"),
        ("a in []", "column 7: expected a value"),
        ("a not 3", "column 7: expected 'in' after 'not'"),
        ("and == 1", "column 1: expected a field name"),
        ("a == 1; drop", "column 7: expected the end, found ';'"),
        ("a.b == 1", "column 2: expected one of"),
        ("ключ == 1", "column 1: expected a field name"),
        ("a == 1a", "column 6: expected a value"),
        ('a == "x', "column 6: expected a value"),
    ],
)
def test_a_syntax_error_names_its_column(text, message):
    with pytest.raises(QueryError, match=message):
        parse_filter(text)


def test_deep_nesting_is_refused():
    def nested(depth: int) -> str:
        return "(" * depth + "a == 1" + ")" * depth

    assert parse_filter(nested(MAX_DEPTH)) == FieldComparison("a", "==", 1)
    with pytest.raises(QueryError, match="nested parentheses"):
        parse_filter(nested(10_000))


@pytest.mark.parametrize("key", ["a b", "a or 1==1", "", "1a", "in", 'a"'])
def test_a_field_name_must_be_an_identifier(key):
    with pytest.raises(QueryError, match="no field name"):
        FieldComparison(key, "==", 1)


def test_only_in_and_not_in_take_a_list():
    with pytest.raises(QueryError, match="'in' takes a list"):
        FieldComparison("a", "==", (1, 2))
    with pytest.raises(QueryError, match="'in' takes a list"):
        FieldComparison("a", "in", 1)
