"""Answer models and grammar accept complete rankings only."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmrag.vision.remote.schema import OrderedAnswer, graded_answer_model, permutation_grammar


@given(n=st.integers(1, 25), data=st.data())
def test_grades_sort_to_a_complete_ranking(n, data):
    grades = data.draw(st.lists(st.integers(0, 10), min_size=n, max_size=n))
    answer = {str(label): grade for label, grade in enumerate(grades, 1)} | {"reason": "fits"}
    ranking = graded_answer_model(n).model_validate(answer).ranking(json.dumps(answer))
    assert ranking.order == sorted(range(1, n + 1), key=lambda label: (-grades[label - 1], label))
    assert (ranking.scores, ranking.repairs, ranking.reason) == (grades, [], "fits")


def test_the_schema_requires_every_label_and_nothing_else():
    schema = graded_answer_model(9).model_json_schema()
    assert schema["required"] == [*"123456789", "reason"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["9"] | {"title": ""} == {"type": "integer", "minimum": 0, "maximum": 10, "title": ""}


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"1": 3, "reason": ""}, "2\n  Field required"),
        ({"1": 3, "2": 11, "reason": ""}, "less than or equal to 10"),
        ({"1": 3, "2": 4, "3": 5, "reason": ""}, "3\n  Extra inputs"),
        ({"1": 3, "2": 4}, "reason\n  Field required"),
    ],
)
def test_an_invalid_answer_is_refused_with_its_fault(answer, named):
    with pytest.raises(ValidationError, match=re.escape(named)):
        graded_answer_model(2).model_validate(answer)


def test_descriptions_precede_the_grades():
    model = graded_answer_model(2, describe=True)
    assert list(model.model_fields) == ["1 shows", "1", "2 shows", "2", "reason"]
    answer = {"1 shows": "a cat", "1": 1, "2 shows": "a dog", "2": 9, "reason": ""}
    ranking = model.model_validate(answer).ranking("")
    assert (ranking.order, ranking.descriptions) == ([2, 1], ["a cat", "a dog"])


@pytest.mark.parametrize(
    ("order", "named"), [([2, 1], "missing: 3"), ([1, 2, 2, 3], "repeated: 2"), ([1, 2, 3, 4], "out of range: 4")]
)
def test_an_order_is_validated_against_n(order, named):
    with pytest.raises(ValidationError, match=named):
        OrderedAnswer.model_validate({"ranking": order, "reason": ""}, context={"n": 3})


def test_a_validation_error_does_not_quote_the_answer():
    with pytest.raises(ValidationError) as caught:
        graded_answer_model(1).model_validate({"1": "SECRET", "reason": "SECRET"})
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12])
def test_every_text_of_the_grammar_is_a_complete_ranking(n):
    rules = dict(line.split(" ::= ", 1) for line in permutation_grammar(n).splitlines())
    chance = random.Random(n)
    seen = set()
    for _ in range(200):
        answer = OrderedAnswer.model_validate_json(walk(rules, chance), context={"n": n})
        seen.add(tuple(answer.ranking("").order))
    assert len(seen) > (100 if n > 5 else n - 1)


def walk(rules: dict[str, str], chance: random.Random, rule: str = "root") -> str:
    way = chance.choice(rules[rule].split(" | "))
    text = ""
    for literal, name in re.findall(r'"((?:[^"\\]|\\.)*)"|(\w+\*?)', way):
        if name == "letter*":
            text += "fits"
        else:
            text += walk(rules, chance, name) if name else json.loads(f'"{literal}"')
    return text
