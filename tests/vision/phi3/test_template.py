"""A played answer is exactly its JSON, and a dictated one is what a model would have met."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrag.vision.phi3.constrained_decoding import SlotFiller
from mmrag.vision.phi3.ranking_template import answer_script
from mmrag.vision.phi3.template import Choice, Free, Grade, longest, perform, script_ids
from mmrag.vision.phi3.tokenizer import Vocabulary

methods = st.sampled_from(["permutation", "grades", "first"])
sizes = st.integers(min_value=1, max_value=20)
plain = st.text("abcdr edé.,:[]{}", max_size=12)


@st.composite
def dictations(draw):
    """A script, and a text for each of its slots."""
    n, method, describe = draw(sizes), draw(methods), draw(st.booleans())
    script = answer_script(n, method, describe, words=40, reason_tokens=40)
    fillings: dict[str, str] = {}
    for piece in script:
        match piece:
            case Choice():
                taken = {fillings[name] for name in piece.unlike}
                left = [option for option in piece.options if option not in taken]
                fillings[piece.name] = draw(st.sampled_from(left))
            case Grade():
                fillings[piece.name] = str(draw(st.integers(0, 10)))
            case Free():
                fillings[piece.name] = draw(plain)
    return script, fillings


@pytest.fixture(scope="module", params=["golden", "small"])
def vocabulary(request, golden, small_tokenizer):
    """Whatever is said here holds for the published vocabulary and for one of a few characters."""
    return {"golden": golden.processor.vocabulary, "small": Vocabulary(small_tokenizer)}[request.param]


class DictatedReader:
    """Finds most likely whatever comes next in ``ids``, and insists on being read in order."""

    def __init__(self, ids, closing, size):
        self.ids, self.closing, self.size, self.at = ids, closing, size, 0

    def read(self, ids):
        assert list(ids) == self.ids[self.at : self.at + len(ids)] or len(ids) == 1
        self.at += len(ids)
        logits = torch.zeros(self.size)
        logits[self.ids[self.at] if self.at < len(self.ids) else self.closing] = 90.0
        return logits

    def rewind(self, tokens):
        self.at -= tokens


@settings(max_examples=60, deadline=None)
@given(dictation=dictations())
def test_decoding_an_answer_gives_exactly_its_json(vocabulary, dictation):
    answer = script_ids(*dictation, vocabulary)
    assert vocabulary.decode(answer.ids) == answer.text
    assert json.dumps(json.loads(answer.text), ensure_ascii=False) == answer.text


@settings(max_examples=60, deadline=None)
@given(dictation=dictations())
def test_a_model_that_answers_so_meets_the_ids_it_was_trained_on(vocabulary, dictation):
    script, fillings = dictation
    taught = script_ids(script, fillings, vocabulary)
    size = vocabulary.tokenizer.get_vocab_size()
    reader = DictatedReader(taught.ids, vocabulary.closing[0], size)
    met = perform(script, SlotFiller(reader, vocabulary), vocabulary)
    assert met.ids == taught.ids
    assert met.texts == taught.texts
    assert met.places == taught.places


@settings(max_examples=60, deadline=None)
@given(dictation=dictations())
def test_each_slot_knows_where_its_ids_stand(vocabulary, dictation):
    script, fillings = dictation
    answer = script_ids(script, fillings, vocabulary)
    for name, place in answer.places.items():
        assert answer.ids[place.start : place.stop] == vocabulary.inside(fillings[name])


@settings(max_examples=60, deadline=None)
@given(dictation=dictations())
def test_what_closes_a_free_text_stands_behind_it(vocabulary, dictation):
    script, fillings = dictation
    answer = script_ids(script, fillings, vocabulary)
    for piece in script:
        if isinstance(piece, Free):
            assert answer.ids[answer.places[piece.name].stop] in vocabulary.closing


@settings(max_examples=60, deadline=None)
@given(dictation=dictations())
def test_no_answer_is_longer_than_the_longest(vocabulary, dictation):
    script, fillings = dictation
    answer = script_ids(script, fillings, vocabulary)
    read = max(place.stop for place in answer.places.values())
    assert read <= longest(script, vocabulary)


def test_the_script_of_grades_is_the_documented_one(vocabulary):
    fillings = {"wish": "red bag", "shows 1": "a red bag", "grade 1": "10"}
    fillings |= {"shows 2": "a bed", "grade 2": "3", "reason": ": it fits."}
    answer = script_ids(answer_script(2, "grades", describe=True), fillings, vocabulary)
    assert answer.text == (
        '{"wish": "red bag", "candidates": {"1": {"shows": "a red bag", "grade": 10}, '
        '"2": {"shows": "a bed", "grade": 3}}, "best": 1, "reason": "a red bag: it fits."}'
    )


def test_past_nine_the_labels_are_letters_and_we_say_what_they_mean(vocabulary):
    script = answer_script(10, "permutation")
    fillings = {f"place {place}": "JABCDEFGHI"[place - 1] for place in range(1, 11)}
    answer = json.loads(script_ids(script, fillings | {"reason": ""}, vocabulary).text)
    assert answer["names"] == dict(zip("ABCDEFGHIJ", range(1, 11), strict=True))
    assert answer["order"] == list("JABCDEFGHI")
    assert answer["best"] == 10
