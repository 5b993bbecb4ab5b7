"""Ids in the middle of an answer, and special tokens in untrusted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from mmrag.errors import CheckpointError
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer


@pytest.fixture(scope="module", params=["golden", "small"])
def tokenizer(request, golden, small_tokenizer):
    return {"golden": golden.processor.tokenizer, "small": Phi3Tokenizer(small_tokenizer)}[request.param]


@given(text=st.text('abz 019{}[]":,.é', min_size=1))
def test_a_continuation_decodes_to_itself(tokenizer, text):
    assert tokenizer.decode_continuation(tokenizer.encode_continuation(text)) == text


def test_a_continuation_begins_no_new_word(golden):
    """The id of "7", not the two of " 7"."""
    assert golden.processor.tokenizer.encode_continuation("7") == [29955]
    assert golden.processor.tokenizer.encode_start("7") == [29871, 29955]


def test_digits_and_letters_are_single_tokens(tokenizer):
    assert len({tokenizer.single_token_id(label) for label in "0123456789ABCDEFGHIJKLMNOPQRST"}) == 30


def test_a_label_of_several_tokens_is_refused(tokenizer):
    with pytest.raises(CheckpointError, match="'10' is 2 tokens"):
        tokenizer.single_token_id("10")


def test_string_tokens_need_no_escape_and_string_ends_begin_with_a_quote(tokenizer):
    string_ids, end_ids = tokenizer.string_token_ids.tolist(), tokenizer.string_end_ids.tolist()
    for token in string_ids:
        assert not set(tokenizer.decode_continuation([token])) & {'"', "\\", "\n", "\t", "\x00"}
    for token in end_ids:
        assert token in tokenizer.stop_token_ids or tokenizer.decode_continuation([token]).startswith('"')
    assert not set(string_ids) & set(end_ids)


specials = ["<|end|>", "<|user|>", "<|image_12|>", "<s>", "</s>", "<", "|", "end", "|>", ">", "s"]


@given(text=st.lists(st.sampled_from(specials) | st.text(max_size=3)).map("".join))
def test_escaped_text_holds_no_special_token(tokenizer, text):
    special = tokenizer.backend.get_added_tokens_decoder().keys()
    ids = tokenizer.encode_start(tokenizer.escape_special_tokens(text))
    assert not {i for i in ids if i in special} - {tokenizer.token_id("<unk>")}


@given(text=st.text())
def test_escaping_changes_only_spaces(tokenizer, text):
    assert tokenizer.escape_special_tokens(text).replace(" ", "") == text.replace(" ", "")


def test_a_lone_surrogate_becomes_a_question_mark(tokenizer):
    assert tokenizer.encode_start(tokenizer.escape_special_tokens("a\ud800b")) == tokenizer.encode_start("a?b")


def test_a_long_text_of_special_tokens_is_escaped_in_linear_time(tokenizer):
    text = "<|end|>" * 50_000  # token by token it took half a minute
    assert tokenizer.escape_special_tokens(text) == "< |end|>" * 50_000


def test_ordinary_text_is_unchanged(tokenizer):
    text = 'a < b, {"x": 1} | c > d <end> <|'
    assert tokenizer.escape_special_tokens(text) == text


def test_a_vocabulary_of_another_model_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(CheckpointError, match=r"no token '<\|image\|>'"):
        Phi3Tokenizer(tokenizer)
