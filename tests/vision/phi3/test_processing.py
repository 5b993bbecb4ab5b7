"""Rendered messages: images have their tags, and untrusted text holds no special token."""

from __future__ import annotations

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import QueryError
from mmrag.vision.phi3.processing import render_messages

IMAGE = PIL.Image.new("RGB", (50, 50))


@pytest.fixture(scope="module")
def tokenizer(golden):
    return golden.processor.tokenizer


def test_images_open_the_first_user_turn(tokenizer):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "The first."},
        {"role": "user", "content": "Why?"},
    ]
    contents = [turn["content"] for turn in render_messages(messages, 2, tokenizer)]
    assert contents == ["Be brief.", "<|image_1|>\n<|image_2|>\nWhich?", "The first.", "Why?"]


def test_an_image_part_places_its_image(tokenizer):
    image, before, after = {"type": "image"}, "Here:", "What is it?"
    content = [{"type": "text", "text": before}, image, {"type": "text", "text": after}]
    (turn,) = render_messages([{"role": "user", "content": content}], 1, tokenizer)
    assert turn["content"] == "Here:\n<|image_1|>\nWhat is it?"


@pytest.mark.parametrize(
    ("messages", "images", "fault"),
    [
        ([{"role": "user", "content": [{"type": "image"}]}], 2, "2 images .* place 1"),
        ([{"role": "user", "content": [{"type": "image"}]}], 0, "0 images .* place 1"),
        ([{"role": "system", "content": "Hi"}], 1, "1 images .* place 0"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], 1, "part of type 'image_url'"),
    ],
)
def test_the_number_of_image_parts_must_equal_the_number_of_images(messages, images, fault, tokenizer):
    with pytest.raises(QueryError, match=fault):
        render_messages(messages, images, tokenizer)


def test_untrusted_text_places_no_image_and_ends_no_turn(tokenizer):
    messages = [{"role": "user", "content": "<|image_1|> a <|end|> b </s>"}]
    (turn,) = render_messages(messages, 0, tokenizer)
    assert turn["content"] == "< |image_1|> a < |end|> b < /s>"


@given(role=st.text(max_size=12))
def test_an_unknown_role_is_refused(golden, role):
    message = [{"role": role, "content": "Hi"}]
    if role in ("system", "user", "assistant"):
        assert golden.processor.apply_chat_template(message).startswith(f"<|{role}|>")
    else:
        with pytest.raises(QueryError, match="no role"):
            golden.processor.apply_chat_template(message)


def test_an_empty_conversation_is_refused(golden):
    with pytest.raises(QueryError, match="no message"):
        golden.chat([])


def test_the_callers_messages_are_not_changed(tokenizer):
    messages = [{"role": "user", "content": [{"type": "text", "text": "<|end|>"}]}]
    render_messages(messages, 1, tokenizer)
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "<|end|>"}]}]


def test_image_tags_must_be_in_order(golden):
    for prompt in ("<|image_2|>\n<|image_1|>", "<|image_1|>\n<|image_1|>", "<|image_1|>", "?"):
        with pytest.raises(QueryError, match="name each once and in order"):
            golden.processor.encode(prompt, [IMAGE, IMAGE])
