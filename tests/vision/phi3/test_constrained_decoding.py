"""A slot is filled with the most likely of its valid values."""

from __future__ import annotations

import json
import math

import pytest
import torch
from transformers.cache_utils import DynamicCache

from mmrag.vision.phi3.generation import CachedDecoder
from mmrag.vision.phi3.template import ChoiceSlot, ConstrainedDecoder, GradeSlot, TextSlot, fill_template

PROMPT = [5, 6, 7]


@pytest.fixture
def fill(small):
    """Fill a template with the small network, after a prompt of a few ids."""

    def filled(*template):
        decoder = CachedDecoder(small.network, small._lock, PROMPT)
        tokenizer = small.processor.tokenizer
        return fill_template(template, ConstrainedDecoder(decoder, tokenizer), tokenizer)

    return filled


@pytest.fixture
def log_probabilities(small):
    """Log-probabilities after the prompt and ``ids``, in one pass and without a cache."""

    def after(ids):
        with torch.inference_mode():
            logits = small.network(torch.tensor([[*PROMPT, *ids]])).logits[0, -1]
        return logits.log_softmax(0)

    return after


def test_a_choice_is_softmax_over_its_options(fill, log_probabilities, small):
    answer = fill("[", ChoiceSlot("c", ("1", "2", "3")), "]")
    tokenizer = small.processor.tokenizer
    options = [tokenizer.single_token_id(option) for option in "123"]
    expected = log_probabilities(tokenizer.encode_start("["))[options].softmax(0)
    assert list(answer.probabilities["c"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert answer.texts["c"] == "123"[int(expected.argmax())]


def test_a_later_choice_depends_on_the_earlier_one(fill, log_probabilities, small):
    answer = fill("[", ChoiceSlot("a", ("1", "2")), ",", ChoiceSlot("b", ("3", "4")))
    tokenizer = small.processor.tokenizer
    before = answer.ids[: answer.spans["b"].start]
    expected = log_probabilities(before)[[tokenizer.single_token_id("3"), tokenizer.single_token_id("4")]].softmax(0)
    assert list(answer.probabilities["b"].values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_chosen_option_is_not_available_again(fill):
    answer = fill(
        "[",
        ChoiceSlot("a", ("1", "2", "3")),
        ChoiceSlot("b", ("1", "2", "3"), exclude=("a",)),
        ChoiceSlot("c", ("1", "2", "3"), exclude=("a", "b")),
    )
    assert {answer.texts[name] for name in "abc"} == {"1", "2", "3"}
    assert list(answer.probabilities["c"].values()) == [1.0]


def test_the_probabilities_of_a_grade_are_those_of_eleven_texts(fill, log_probabilities, small):
    """Against a pass of its own after the "1": "10" is a "1" with a "0" after it."""
    tokenizer = small.processor.tokenizer
    before = tokenizer.encode_start('{"grade": ')
    one, zero = tokenizer.single_token_id("1"), tokenizer.single_token_id("0")
    digits = [tokenizer.single_token_id(str(digit)) for digit in range(10)]
    first = log_probabilities(before)[digits].softmax(0).tolist()
    after = log_probabilities([*before, one]).exp()
    p_zero = float(after[zero] / (1 - after[digits[1:]].sum()))
    expected = {str(digit): p for digit, p in enumerate(first)}
    expected |= {"1": first[1] * (1 - p_zero), "10": first[1] * p_zero}
    probabilities = fill('{"grade": ', GradeSlot("g"), "}").probabilities["g"]
    assert first[1] > 0.01
    assert probabilities == pytest.approx(expected, abs=1e-5)
    assert math.isclose(sum(probabilities.values()), 1.0, abs_tol=1e-6)


class LogitsDecoder:
    """Returns given logits one after the other, and counts the passes."""

    def __init__(self, *steps):
        self.steps, self.passes = list(steps), 0

    def step(self, ids):
        self.passes += 1
        return self.steps.pop(0)

    def rollback(self, num_tokens):
        assert num_tokens == 1


def logits_of(tokenizer, probabilities):
    logits = torch.full((tokenizer.backend.get_vocab_size(),), -50.0)
    for text, p in probabilities.items():
        logits[tokenizer.single_token_id(text)] = math.log(p)
    return logits


@pytest.mark.parametrize(
    ("first", "after", "grade", "expected"),
    [
        ({"7": 0.6, "3": 0.4}, None, "7", 5.4),
        ({"1": 0.8, "5": 0.2}, {"0": 0.9, "}": 0.1}, "10", 0.08 + 1.0 + 7.2),
        ({"1": 0.8, "5": 0.2}, {"0": 0.1, "}": 0.9}, "1", 0.72 + 1.0 + 0.8),
        ({"1": 0.8, "5": 0.2}, {"0": 0.4, "}": 0.4, "7": 0.2}, "1", 0.4 + 1.0 + 4.0),
    ],
    ids=["ten is unlikely", "ten", "one", "17 is no grade"],
)
def test_a_grade_divides_the_probability_of_one_digit_between_1_and_10(small, first, after, grade, expected):
    tokenizer = small.processor.tokenizer
    steps = [logits_of(tokenizer, probabilities) for probabilities in (first, after) if probabilities]
    decoder = LogitsDecoder(*steps)
    template = ("[", GradeSlot("g"))
    answer = fill_template(template, ConstrainedDecoder(decoder, tokenizer), tokenizer)
    assert answer.texts["g"] == grade
    assert sum(int(g) * p for g, p in answer.probabilities["g"].items()) == pytest.approx(expected)
    assert decoder.passes == len(steps)


@pytest.mark.parametrize("tokens", [1, 2, 9])
def test_a_text_slot_has_at_most_max_tokens(fill, tokens):
    answer = fill('{"a": "', TextSlot("a", tokens), '"}')
    assert len(answer.spans["a"]) <= tokens


def test_a_text_slot_holds_no_token_that_needs_an_escape(small):
    tokenizer = small.processor.tokenizer
    size = tokenizer.backend.get_vocab_size()
    unwanted = ["\\", "\n", "<|image|>", "<|user|>", "<0x07>"]
    wanted = logits_of(tokenizer, {"a": 0.9})
    for text in unwanted:
        wanted[tokenizer.backend.token_to_id(text) or tokenizer.single_token_id(text)] = 9.0
    close = torch.full((size,), -50.0)
    close[tokenizer.single_token_id('"')] = 0.0
    template = ('{"a": "', TextSlot("a", 8), '"}')
    answer = fill_template(template, ConstrainedDecoder(LogitsDecoder(wanted, close), tokenizer), tokenizer)
    assert json.loads(answer.text) == {"a": "a"}


def test_a_text_slot_ends_where_the_model_ends_its_turn(small):
    tokenizer = small.processor.tokenizer
    end = torch.full((tokenizer.backend.get_vocab_size(),), -50.0)
    end[tokenizer.token_id("<|end|>")] = 0.0
    template = ('{"a": "', TextSlot("a", 8), '"}')
    answer = fill_template(template, ConstrainedDecoder(LogitsDecoder(end), tokenizer), tokenizer)
    assert answer.text == '{"a": ""}'


def test_every_id_is_read_once(small):
    """In the end, the cache holds the prompt and the answer without its last text."""
    tokenizer = small.processor.tokenizer
    decoder = CachedDecoder(small.network, small._lock, PROMPT, cache=DynamicCache())
    template = ('{"g": ', GradeSlot("g"), ', "a": "', TextSlot("a", 5), '", "b": ')
    template += (ChoiceSlot("b", ("1", "2")), "}")
    answer = fill_template(template, ConstrainedDecoder(decoder, tokenizer), tokenizer)
    assert decoder.cache.get_seq_length() == len(PROMPT) + answer.spans["b"].start
    assert tokenizer.decode(answer.ids) == answer.text
