"""An answer is exact when it misses nothing of a wish, partial when it misses one of several."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, Wish

products, patterns, colors = map(st.sampled_from, (PRODUCTS, PATTERNS, COLORS))
answers = st.tuples(products, patterns, colors)
wishes = st.builds(Wish, st.none() | products, st.none() | patterns, st.none() | colors)


def missed(wish: Wish, answer: tuple[str, str, str]) -> tuple[int, int]:
    wanted = (wish.product, wish.pattern, wish.color)
    named = [(want, got) for want, got in zip(wanted, answer, strict=True) if want is not None]
    return sum(want != got for want, got in named), len(named)


@given(wish=wishes, answer=answers)
def test_the_grade_counts_what_is_missed(wish, answer):
    misses, named = missed(wish, answer)
    expected = 2 if misses == 0 else 1 if misses == 1 and named > 1 else 0
    assert wish.grade(*answer) == expected


@given(wish=wishes, answer=answers)
def test_the_finer_grade_refines_the_grade(wish, answer):
    assert wish.grade(*answer) == {3: 2, 2: 1, 1: 1, 0: 0}[wish.finer_grade(*answer)]


@given(wish=wishes, answer=answers)
def test_the_right_product_is_graded_above_the_right_print(wish, answer):
    grade = wish.finer_grade(*answer)
    if grade == 2:
        assert wish.product in (None, answer[0])
    if grade == 1:
        assert wish.product not in (None, answer[0])


@given(answer=answers, color=colors)
def test_a_free_color_never_matters(answer, color):
    product, pattern, _ = answer
    for wish in (Wish("mug", "star"), Wish(product, pattern), Wish(product)):
        assert wish.grade(*answer) == wish.grade(product, pattern, color)


@given(answer=answers)
def test_an_answer_is_exact_for_its_own_attributes(answer):
    assert Wish(*answer).finer_grade(*answer) == 3
