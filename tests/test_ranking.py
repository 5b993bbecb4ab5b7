"""No answer of a model loses or doubles a candidate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels

sizes = st.integers(min_value=1, max_value=25)
labels = st.lists(st.integers(min_value=-5, max_value=40), max_size=60)
grades = st.dictionaries(st.integers(min_value=-5, max_value=40), st.floats(min_value=-10, max_value=10))


@given(answered=labels, n=sizes)
def test_every_candidate_is_ranked_once(answered, n):
    assert sorted(ranking_from_labels(answered, n).order) == list(range(1, n + 1))


@given(answered=labels, n=sizes)
def test_valid_labels_keep_the_order_the_model_gave(answered, n):
    valid = list(dict.fromkeys(label for label in answered if 1 <= label <= n))
    assert ranking_from_labels(answered, n).order[: len(valid)] == valid


@given(n=sizes, data=st.data())
def test_a_complete_answer_is_left_alone(n, data):
    answer = data.draw(st.permutations(range(1, n + 1)))
    ranking = ranking_from_labels(answer, n)
    assert ranking.order == answer
    assert ranking.repairs == []


@given(given_grades=grades, n=sizes)
def test_grades_sort_and_equal_grades_keep_retrieval_order(given_grades, n):
    ranking = ranking_from_grades(given_grades, n)
    graded = [label for label in ranking.order if label in given_grades]
    keys = [(-given_grades[label], label) for label in graded]
    assert keys == sorted(keys)
    assert sorted(ranking.order) == list(range(1, n + 1))


def test_repairs_list_unknown_repeated_and_missing_labels():
    assert ranking_from_labels([2, 0, 2], n=3).repairs == ["out of range: 0", "repeated: 2", "missing: 1, 3"]


def test_an_incomplete_ranking_cannot_be_made():
    with pytest.raises(ValueError, match=r"no permutation of 1..2"):
        Ranking(order=[1, 1])


def test_scores_must_match_the_number_of_candidates():
    with pytest.raises(ValueError, match="1 scores for 2 candidates"):
        Ranking(order=[1, 2], scores=[0.5])
