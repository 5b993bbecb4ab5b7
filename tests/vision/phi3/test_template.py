"""Answer templates: filled ones are valid JSON, and training sees the ids that decoding produces."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from run_profile import scaled

from mmrag.vision import RankingConfig
from mmrag.vision.phi3.ranking_template import RankingTemplate
from mmrag.vision.phi3.template import (
    ChoiceSlot,
    ConstrainedDecoder,
    GradeSlot,
    TextSlot,
    encode_template,
    fill_template,
    max_tokens,
)
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer

methods = st.sampled_from(["permutation", "grades", "first"])
sizes = st.integers(min_value=1, max_value=20)
plain = st.text("abcdr edé.,:[]{}", max_size=12)


@st.composite
def answers(draw):
    """A template, and a text for each of its slots."""
    n, method, describe = draw(sizes), draw(methods), draw(st.booleans())
    config = RankingConfig(method, describe, max_description_tokens=40, max_reason_tokens=40)
    template = RankingTemplate(n, config).build()
    texts: dict[str, str] = {}
    for piece in template:
        match piece:
            case ChoiceSlot():
                taken = {texts[name] for name in piece.exclude}
                left = [option for option in piece.options if option not in taken]
                texts[piece.name] = draw(st.sampled_from(left))
            case GradeSlot():
                texts[piece.name] = str(draw(st.integers(0, 10)))
            case TextSlot():
                texts[piece.name] = draw(plain)
    return template, texts


@pytest.fixture(scope="module", params=["golden", "small"])
def tokenizer(request, golden, small_tokenizer):
    """The published vocabulary, and one of a few characters."""
    return {"golden": golden.processor.tokenizer, "small": Phi3Tokenizer(small_tokenizer)}[request.param]


class ScriptedDecoder:
    """Predicts ``ids`` one after the other, and expects to read them in order."""

    def __init__(self, ids, closing, size):
        self.ids, self.closing, self.size, self.at = ids, closing, size, 0

    def step(self, ids):
        assert list(ids) == self.ids[self.at : self.at + len(ids)] or len(ids) == 1
        self.at += len(ids)
        logits = torch.zeros(self.size)
        logits[self.ids[self.at] if self.at < len(self.ids) else self.closing] = 90.0
        return logits

    def rollback(self, num_tokens):
        self.at -= num_tokens


@settings(max_examples=scaled(fast=20, full=60))
@given(case=answers())
def test_decoding_an_answer_gives_exactly_its_json(tokenizer, case):
    answer = encode_template(*case, tokenizer)
    assert tokenizer.decode(answer.ids) == answer.text
    assert json.dumps(json.loads(answer.text), ensure_ascii=False) == answer.text


@settings(max_examples=scaled(fast=20, full=60))
@given(case=answers())
def test_decoding_produces_the_ids_of_teacher_forcing(tokenizer, case):
    template, texts = case
    forced = encode_template(template, texts, tokenizer)
    size = tokenizer.backend.get_vocab_size()
    decoder = ScriptedDecoder(forced.ids, tokenizer.string_end_ids[0], size)
    decoded = fill_template(template, ConstrainedDecoder(decoder, tokenizer), tokenizer)
    assert decoded.ids == forced.ids
    assert decoded.texts == forced.texts
    assert decoded.spans == forced.spans


@settings(max_examples=scaled(fast=20, full=60))
@given(case=answers())
def test_spans_locate_the_ids_of_each_slot(tokenizer, case):
    template, texts = case
    answer = encode_template(template, texts, tokenizer)
    for name, span in answer.spans.items():
        assert answer.ids[span.start : span.stop] == tokenizer.encode_continuation(texts[name])


@settings(max_examples=scaled(fast=20, full=60))
@given(case=answers())
def test_a_quote_follows_each_text_slot(tokenizer, case):
    template, texts = case
    answer = encode_template(template, texts, tokenizer)
    for piece in template:
        if isinstance(piece, TextSlot):
            assert answer.ids[answer.spans[piece.name].stop] in tokenizer.string_end_ids


@settings(max_examples=scaled(fast=20, full=60))
@given(case=answers())
def test_no_answer_is_longer_than_max_tokens(tokenizer, case):
    template, texts = case
    answer = encode_template(template, texts, tokenizer)
    read = max(span.stop for span in answer.spans.values())
    assert read <= max_tokens(template, tokenizer)


def test_the_template_of_grades_is_the_documented_json(tokenizer):
    texts = {"query": "red bag", "description 1": "a red bag", "grade 1": "10"}
    texts |= {"description 2": "a bed", "grade 2": "3", "reason": ": it fits."}
    answer = encode_template(RankingTemplate(2, RankingConfig("grades", describe=True)).build(), texts, tokenizer)
    assert answer.text == (
        '{"wish": "red bag", "candidates": {"1": {"shows": "a red bag", "grade": 10}, '
        '"2": {"shows": "a bed", "grade": 3}}, "best": 1, "reason": "a red bag: it fits."}'
    )


def test_past_nine_candidates_the_labels_are_letters_with_a_legend(tokenizer):
    template = RankingTemplate(10, RankingConfig("permutation")).build()
    texts = {f"rank {rank}": "JABCDEFGHI"[rank - 1] for rank in range(1, 11)}
    answer = json.loads(encode_template(template, texts | {"reason": ""}, tokenizer).text)
    assert answer["names"] == dict(zip("ABCDEFGHIJ", range(1, 11), strict=True))
    assert answer["order"] == list("JABCDEFGHI")
    assert answer["best"] == 10
