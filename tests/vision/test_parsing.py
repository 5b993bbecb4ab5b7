"""Any answer of a vision LLM is parsed into a ranking of every candidate."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_profile import scaled

from mmrag.errors import AnswerError
from mmrag.vision.parsing import parse_answer, ranking_from_answer

sizes = st.integers(1, 25)
numbers = st.integers(-3, 30)
graded = st.dictionaries(numbers.map(str), st.one_of(numbers, st.floats(), st.text(max_size=5)))
shapes = st.one_of(
    st.lists(numbers).map(json.dumps),
    graded.map(json.dumps),
    st.tuples(graded.map(json.dumps), st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]]),
    st.lists(numbers).map(lambda labels: " > ".join(f"[{label}]" for label in labels)),
    st.lists(numbers).map(lambda labels: "\n".join(f"Doc: {x}, Relevance: high" for x in labels)),
    graded.map(lambda grades: f"Sure:\n```json\n{json.dumps({'grades': grades})}\n```"),
    st.text(alphabet='0123456789[]{}":,->.$ \nitem', max_size=60),
    st.text(max_size=40),
)


@settings(max_examples=scaled(fast=1_000, full=10_000))
@given(answer=shapes, n=sizes)
def test_no_answer_loses_or_doubles_a_candidate(answer, n):
    valid = list(dict.fromkeys(x for x in parse_answer(answer).labels if 1 <= x <= n))
    try:
        order = ranking_from_answer(answer, n).order
    except AnswerError:
        assert valid == []
    else:
        assert sorted(order) == list(range(1, n + 1))
        assert order[: len(valid)] == valid


@given(data=st.data(), n=st.integers(2, 25))
@pytest.mark.parametrize(
    "shape",
    [
        json.dumps,
        lambda order: json.dumps({"ranking": order, "reason": "1 is 2"}),
        lambda order: "```json\n" + json.dumps(order) + "\n```",
        lambda order: " > ".join(f"[{label}]" for label in order),
        lambda order: ", ".join(map(str, order)),
        lambda order: "\n".join(f"{rank}. Candidate {x}" for rank, x in enumerate(order, 1)),
        lambda order: "\n".join(f"Doc: {label}, Relevance: high" for label in order),
        lambda order: json.dumps({str(x): 100 - rank for rank, x in enumerate(order)}),
        lambda order: "\n".join(f"Doc: {x}, Relevance: {99 - r}" for r, x in enumerate(order)),
        lambda order: json.dumps([{"id": x, "score": 1 / (r + 1)} for r, x in enumerate(order)]),
        lambda order: "{" + "".join(f"'{x}': {99 - rank}," for rank, x in enumerate(order)) + "}",
    ],
)
def test_a_complete_order_is_parsed_in_every_format(shape, data, n):
    order = data.draw(st.permutations(range(1, n + 1)))
    ranking = ranking_from_answer(shape(order), n)
    assert ranking.order == order
    assert ranking.repairs == []


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("[5] > [3]. The item costs $9.", (5, 3)),
        ("I prefer candidate 3; it has 2 straps, 4.5 stars and 12% off.", (3,)),
        ("Item [7] is best. Ranked list: [7, 8]", (7, 8)),
        ("Ranking: [7, 8, ...]", (7, 8)),
        ("It has 3 stripes and costs 9 €.", ()),
        ("I'm sorry, I cannot help with that.", ()),
        ("", ()),
        ("[]", ()),
        ('{"1": true, "2": NaN}', ()),
    ],
)
def test_only_numbers_in_label_positions_count(answer, labels):
    assert parse_answer(answer).labels == labels


@pytest.mark.parametrize(
    ("answer", "order", "repairs"),
    [
        ("[7, 8, 5, 3, 2, 4, 1, 6]", [7, 8, 5, 3, 2, 4, 1, 6, 9], ["missing: 9"]),
        ("[3, 3, 1]", [3, 1, 2], ["repeated: 3", "missing: 2"]),
        ("[0, 2, -1, 12, 1]", [2, 1, 3], ["out of range: 0, -1, 12", "missing: 3"]),
        ('{"2": 9, "0": 10, "1": 3, "3": 1}', [2, 1, 3], ["out of range: 0"]),
    ],
)
def test_each_fault_is_repaired_and_listed(answer, order, repairs):
    ranking = ranking_from_answer(answer, len(order))
    assert ranking.order == order
    assert ranking.repairs == repairs
    assert ranking.answer == answer


def test_a_truncated_object_keeps_its_whole_grades_and_the_start_of_the_reason():
    parsed = parse_answer('{"1": 8, "2": 3, "reason": "it is spott')
    assert parsed.grades == {1: 8, 2: 3}
    assert parsed.reason == "it is spott"


def test_a_truncated_number_does_not_count():
    assert parse_answer('{"1": 8, "2": 3, "3": 1').grades == {1: 8, 2: 3}


def test_a_long_reason_is_truncated():
    assert len(parse_answer(json.dumps({"1": 8, "reason": "x" * 9000})).reason) == 500


@pytest.mark.parametrize("piece", ["[", "1\n", "[[1],", '{"1":', "9", " ", "item ", "1 > "])
def test_a_hostile_answer_neither_crashes_nor_hangs(piece):
    assert parse_answer(piece * 50_000).reason == ""


def test_a_deeply_nested_answer_names_no_candidate():
    assert parse_answer('{"a":' * 900 + "{}" + "}" * 900).labels == ()
