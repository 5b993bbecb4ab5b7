"""Ids in the middle of an answer, and text that stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from mmrag.errors import CheckpointError
from mmrag.vision.phi3.tokenizer import Vocabulary


@pytest.fixture(scope="module", params=["golden", "small"])
def vocabulary(request, golden, small_tokenizer):
    return {"golden": golden.processor.vocabulary, "small": Vocabulary(small_tokenizer)}[request.param]


@given(text=st.text('abz 019{}[]":,.é', min_size=1))
def test_a_piece_inside_an_answer_decodes_to_itself(vocabulary, text):
    assert vocabulary.text_inside(vocabulary.inside(text)) == text


def test_a_piece_inside_an_answer_begins_no_word(golden):
    """The id of "7", not the two of " 7"."""
    assert golden.processor.vocabulary.inside("7") == [29955]
    assert golden.processor.vocabulary.opening("7") == [29871, 29955]


def test_digits_and_letters_are_single_tokens(vocabulary):
    assert len({vocabulary.single(label) for label in "0123456789ABCDEFGHIJKLMNOPQRST"}) == 30


def test_a_label_of_several_tokens_is_refused(vocabulary):
    with pytest.raises(CheckpointError, match="'10' is 2 tokens"):
        vocabulary.single("10")


def test_plain_tokens_need_no_escape_and_closing_ones_begin_with_a_quote(vocabulary):
    for token in vocabulary.plain:
        assert not set(vocabulary.text_inside([token])) & {'"', "\\", "\n", "\t", "\x00"}
    ends = vocabulary.ends
    for token in vocabulary.closing:
        assert token in ends or vocabulary.text_inside([token]).startswith('"')
    assert not set(vocabulary.plain) & set(vocabulary.closing)


specials = ["<|end|>", "<|user|>", "<|image_12|>", "<s>", "</s>", "<", "|", "end", "|>", ">", "s"]


@given(text=st.lists(st.sampled_from(specials) | st.text(max_size=3)).map("".join))
def test_defused_text_holds_no_special_token(vocabulary, text):
    special = vocabulary.tokenizer.get_added_tokens_decoder().keys()
    ids = vocabulary.opening(vocabulary.defuse(text))
    assert not {i for i in ids if i in special} - {vocabulary.id("<unk>")}


@given(text=st.text())
def test_defusing_changes_only_spaces(vocabulary, text):
    assert vocabulary.defuse(text).replace(" ", "") == text.replace(" ", "")


def test_half_a_letter_becomes_one_that_can_be_read(vocabulary):
    assert vocabulary.opening(vocabulary.defuse("a\ud800b")) == vocabulary.opening("a?b")


def test_a_long_text_of_nothing_but_special_tokens_is_defused_at_once(vocabulary):
    text = "<|end|>" * 50_000  # token by token it took half a minute
    assert vocabulary.defuse(text) == "< |end|>" * 50_000


def test_ordinary_text_is_left_alone(vocabulary):
    text = 'a < b, {"x": 1} | c > d <end> <|'
    assert vocabulary.defuse(text) == text


def test_a_vocabulary_of_another_model_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(CheckpointError, match=r"no token '<\|image\|>'"):
        Vocabulary(tokenizer)
