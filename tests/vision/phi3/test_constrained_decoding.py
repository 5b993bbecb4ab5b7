"""What a slot takes is what the network finds most likely among what may stand there."""

from __future__ import annotations

import json
import math

import pytest
import torch
from transformers.cache_utils import DynamicCache

from mmrag.vision.phi3.constrained_decoding import SlotFiller
from mmrag.vision.phi3.generation import NetworkReader
from mmrag.vision.phi3.template import Choice, Free, Grade, Text, perform

PROMPT = [5, 6, 7]


@pytest.fixture
def play(small):
    """Play a script with the small network, behind a prompt of a few ids."""

    def played(*script):
        reader = NetworkReader(small.network, small._lock, PROMPT)
        vocabulary = small.processor.vocabulary
        return perform(script, SlotFiller(reader, vocabulary), vocabulary)

    return played


@pytest.fixture
def log_odds(small):
    """Log-probabilities behind the prompt and ``ids``, in one pass and without a cache."""

    def of(ids):
        with torch.inference_mode():
            logits = small.network(torch.tensor([[*PROMPT, *ids]])).logits[0, -1]
        return logits.log_softmax(0)

    return of


def test_a_choice_is_softmax_over_its_options(play, log_odds, small):
    answer = play(Text("["), Choice("c", ("1", "2", "3")), Text("]"))
    vocabulary = small.processor.vocabulary
    options = [vocabulary.single(option) for option in "123"]
    expected = log_odds(vocabulary.opening("["))[options].softmax(0)
    assert list(answer.odds["c"].values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert answer.texts["c"] == "123"[int(expected.argmax())]


def test_a_later_choice_reads_what_was_chosen_before(play, log_odds, small):
    answer = play(Text("["), Choice("a", ("1", "2")), Text(","), Choice("b", ("3", "4")))
    vocabulary = small.processor.vocabulary
    before = answer.ids[: answer.places["b"].start]
    expected = log_odds(before)[[vocabulary.single("3"), vocabulary.single("4")]].softmax(0)
    assert list(answer.odds["b"].values()) == pytest.approx(expected.tolist(), abs=1e-5)


def test_what_was_chosen_is_not_on_offer_again(play):
    answer = play(
        Text("["),
        Choice("a", ("1", "2", "3")),
        Choice("b", ("1", "2", "3"), unlike=("a",)),
        Choice("c", ("1", "2", "3"), unlike=("a", "b")),
    )
    assert {answer.texts[name] for name in "abc"} == {"1", "2", "3"}
    assert list(answer.odds["c"].values()) == [1.0]


def test_the_odds_of_a_grade_are_those_of_eleven_texts(play, log_odds, small):
    """Against a pass of its own behind the "1": "10" is a "1" that goes on."""
    vocabulary = small.processor.vocabulary
    before = vocabulary.opening('{"grade": ')
    one, zero = vocabulary.single("1"), vocabulary.single("0")
    digits = [vocabulary.single(str(digit)) for digit in range(10)]
    first = log_odds(before)[digits].softmax(0).tolist()
    behind = log_odds([*before, one]).exp()
    goes_on = float(behind[zero] / (1 - behind[digits[1:]].sum()))
    expected = {str(digit): p for digit, p in enumerate(first)}
    expected |= {"1": first[1] * (1 - goes_on), "10": first[1] * goes_on}
    odds = play(Text('{"grade": '), Grade("g"), Text("}")).odds["g"]
    assert first[1] > 0.01
    assert odds == pytest.approx(expected, abs=1e-5)
    assert math.isclose(sum(odds.values()), 1.0, abs_tol=1e-6)


class ReaderOf:
    """Says what a list of logits says, and counts the passes."""

    def __init__(self, *steps):
        self.steps, self.passes = list(steps), 0

    def read(self, ids):
        self.passes += 1
        return self.steps.pop(0)

    def rewind(self, tokens):
        assert tokens == 1


def logits_of(vocabulary, odds):
    logits = torch.full((vocabulary.tokenizer.get_vocab_size(),), -50.0)
    for text, p in odds.items():
        logits[vocabulary.single(text)] = math.log(p)
    return logits


@pytest.mark.parametrize(
    ("first", "behind", "grade", "expected"),
    [
        ({"7": 0.6, "3": 0.4}, None, "7", 5.4),
        ({"1": 0.8, "5": 0.2}, {"0": 0.9, "}": 0.1}, "10", 0.08 + 1.0 + 7.2),
        ({"1": 0.8, "5": 0.2}, {"0": 0.1, "}": 0.9}, "1", 0.72 + 1.0 + 0.8),
        ({"1": 0.8, "5": 0.2}, {"0": 0.4, "}": 0.4, "7": 0.2}, "1", 0.4 + 1.0 + 4.0),
    ],
    ids=["no ten in sight", "ten", "one", "17 is no grade"],
)
def test_a_grade_weighs_one_against_ten(small, first, behind, grade, expected):
    vocabulary = small.processor.vocabulary
    steps = [logits_of(vocabulary, odds) for odds in (first, behind) if odds]
    reader = ReaderOf(*steps)
    script = (Text("["), Grade("g"))
    answer = perform(script, SlotFiller(reader, vocabulary), vocabulary)
    assert answer.texts["g"] == grade
    assert sum(int(g) * p for g, p in answer.odds["g"].items()) == pytest.approx(expected)
    assert reader.passes == len(steps)


@pytest.mark.parametrize("tokens", [1, 2, 9])
def test_free_text_is_bounded(play, tokens):
    answer = play(Text('{"a": "'), Free("a", tokens), Text('"}'))
    assert len(answer.places["a"]) <= tokens


def test_free_text_needs_no_escape_whatever_the_network_prefers(small):
    vocabulary = small.processor.vocabulary
    size = vocabulary.tokenizer.get_vocab_size()
    unwanted = ["\\", "\n", "<|image|>", "<|user|>", "<0x07>"]
    wanted = logits_of(vocabulary, {"a": 0.9})
    for text in unwanted:
        wanted[vocabulary.tokenizer.token_to_id(text) or vocabulary.single(text)] = 9.0
    close = torch.full((size,), -50.0)
    close[vocabulary.single('"')] = 0.0
    script = (Text('{"a": "'), Free("a", 8), Text('"}'))
    answer = perform(script, SlotFiller(ReaderOf(wanted, close), vocabulary), vocabulary)
    assert json.loads(answer.text) == {"a": "a"}


def test_free_text_ends_where_the_model_ends_its_turn(small):
    vocabulary = small.processor.vocabulary
    end = torch.full((vocabulary.tokenizer.get_vocab_size(),), -50.0)
    end[vocabulary.id("<|end|>")] = 0.0
    script = (Text('{"a": "'), Free("a", 8), Text('"}'))
    answer = perform(script, SlotFiller(ReaderOf(end), vocabulary), vocabulary)
    assert answer.text == '{"a": ""}'


def test_a_network_reads_every_id_once(small):
    """What stands in its cache at the end is the prompt and the answer, but for the last text."""
    vocabulary = small.processor.vocabulary
    reader = NetworkReader(small.network, small._lock, PROMPT, cache=DynamicCache())
    script = (Text('{"g": '), Grade("g"), Text(', "a": "'), Free("a", 5), Text('", "b": '))
    script += (Choice("b", ("1", "2")), Text("}"))
    answer = perform(script, SlotFiller(reader, vocabulary), vocabulary)
    assert reader.cache.get_seq_length() == len(PROMPT) + answer.places["b"].start
    assert vocabulary.decode(answer.ids) == answer.text
