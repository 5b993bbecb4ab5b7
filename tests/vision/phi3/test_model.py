"""Phi3Vision: chat, streaming, ranking, prefix cache, concurrency."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from run_profile import scaled

from mmrag.errors import AnswerError, CheckpointError, QueryError
from mmrag.vision import Phi3Vision, VisionLLM
from mmrag.vision.phi3.generation import PrefixCache

RED = PIL.Image.new("RGB", (90, 60), "red")
BLUE = PIL.Image.new("RGB", (60, 90), "blue")
METHODS = ("permutation", "grades", "first")


def ask(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def tower_calls(small, monkeypatch):
    """Number of crops in each call of the vision tower."""
    seen, patches = [], small.network.image_embedding.crop_features

    def counted(crops):
        seen.append(len(crops))
        return patches(crops)

    monkeypatch.setattr(small.network.image_embedding, "crop_features", counted)
    return seen


def test_it_is_a_vision_llm(small):
    assert isinstance(small, VisionLLM)


def test_chat_answers_the_golden_greedy_continuation(golden, cases, expected):
    answer = golden.chat(cases["text_plain"]["messages"], max_new_tokens=12)
    assert answer == golden.processor.tokenizer.decode(expected["text_plain.greedy"].tolist())


def test_chat_places_an_image_as_published(golden, cases, expected, golden_folder, monkeypatch):
    """The caller writes no tag: it stands before the first user's text, then a line break."""
    image = PIL.Image.open(golden_folder / "images" / "small.png")
    image_processor = replace(golden.processor.image_processor, num_crops=4)
    monkeypatch.setattr(golden.processor, "image_processor", image_processor)
    answer = golden.chat(ask("Is it a cat?"), [image], max_new_tokens=12)
    assert answer == golden.processor.tokenizer.decode(expected["small_4.greedy"].tolist())


def test_a_stream_is_the_chat_in_pieces(small):
    pieces = list(small.stream(ask("What is it?"), [RED], max_new_tokens=20))
    assert len(pieces) > 2
    assert "".join(pieces) == small.chat(ask("What is it?"), [RED], max_new_tokens=20)


def test_a_stream_never_yields_an_incomplete_character(small, monkeypatch):
    letter = [small.processor.tokenizer.token_id(f"<0x{byte:02X}>") for byte in "猫".encode()]
    monkeypatch.setattr("mmrag.vision.phi3.model.greedy_decode", lambda *_: iter(letter))
    assert "".join(small.stream(ask("?"))) == "猫"
    assert [piece for piece in small.stream(ask("?")) if piece] == ["猫"]


def test_an_answer_has_at_most_max_new_tokens(small, monkeypatch):
    read = []
    monkeypatch.setattr(small.processor.tokenizer, "decode", lambda ids: read.append(ids) or "")
    small.chat(ask("?"), max_new_tokens=3)
    assert len(read[-1]) == 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("describe", [True, False])
@pytest.mark.parametrize("n", [1, 2, 9, 10])
def test_a_ranking_comes_with_scores_descriptions_and_its_answer(small, method, describe, n):
    ranking = small.rank("Which fits?", RED, n, method=method, describe=describe)
    assert len(ranking.scores) == n
    assert len(ranking.descriptions) == (n if describe else 0)
    answer = json.loads(ranking.answer)
    assert ("wish" in answer) == describe
    assert answer.get("best", ranking.order[0]) == ranking.order[0]
    if method == "grades":
        assert ranking.order == sorted(ranking.order, key=lambda k: -ranking.scores[k - 1])
        assert all(0 <= score <= 10 for score in ranking.scores)
    else:
        assert sum(ranking.scores) == pytest.approx(1.0, abs=1e-5)
    if method != "first":
        assert answer["reason"].strip() == ranking.reason


def test_first_sorts_by_the_probability_of_being_first(small):
    first = small.rank("Which?", RED, 9, method="first")
    slow = small.rank("Which?", RED, 9, method="permutation")
    assert first.scores == pytest.approx(slow.scores, abs=1e-6)
    assert first.order[0] == slow.order[0]
    assert first.order == sorted(range(1, 10), key=lambda k: -first.scores[k - 1])


def test_a_ranking_is_the_same_each_time(small):
    assert small.rank("Which?", RED, 9) == small.rank("Which?", RED, 9)


def test_the_prompt_and_the_image_matter(small):
    first = small.rank("Which?", RED, 9).scores
    assert small.rank("Who?", RED, 9).scores != pytest.approx(first, abs=1e-5)
    assert small.rank("Which?", BLUE, 9).scores != pytest.approx(first, abs=1e-5)


def test_caption_and_rankings_encode_the_image_once(small, tower_calls):
    small.chat(ask("What is it?"), [RED], max_new_tokens=5)
    small.rank("Which fits?", RED, 9, method="grades", describe=True)
    small.rank("Which fits?", RED.copy(), 9)
    assert len(tower_calls) == 1


def test_other_images_are_encoded_too(small, tower_calls):
    for image in (RED, BLUE, RED):
        small.chat(ask("?"), [image], max_new_tokens=1)
    assert len(tower_calls) == 2


def test_the_prefix_cache_evicts_the_least_recently_used(small, tower_calls):
    for gray in (1, 2, 3, 3, 2, 1):
        small.chat(ask("?"), [PIL.Image.new("RGB", (50, 50), (gray,) * 3)], max_new_tokens=1)
    assert len(tower_calls) == 4


@pytest.mark.parametrize("method", METHODS)
def test_a_cached_prefix_changes_no_result(small, method, monkeypatch):
    small.chat(ask("What is it?"), [RED], max_new_tokens=8)
    warm_answer = small.chat(ask("And now?"), [RED], max_new_tokens=8)
    warm = small.rank("Which fits?", RED, 9, method=method)
    monkeypatch.setattr(PrefixCache, "get", lambda self, key: None)
    cold = small.rank("Which fits?", RED, 9, method=method)
    assert (warm.order, warm.answer) == (cold.order, cold.answer)
    assert warm.scores == pytest.approx(cold.scores, abs=1e-5)
    assert small.chat(ask("And now?"), [RED], max_new_tokens=8) == warm_answer


def test_a_ranking_with_a_cache_is_the_ranking_of_one_full_pass(small):
    """The answer, read by the network at once, gives the same probabilities."""
    tokenizer = small.processor.tokenizer
    ranking = small.rank("Which fits?", RED, 9)
    inputs = small.prepare(ask("<|image_1|>\nWhich fits?"), [RED])
    skeleton = torch.tensor([tokenizer.encode_start('{"order": [')])
    ids = torch.cat([inputs.pop("input_ids"), skeleton], dim=1)
    inputs.pop("attention_mask")
    labels = [tokenizer.single_token_id(str(label)) for label in range(1, 10)]
    odds = small.forward(input_ids=ids, **inputs).logits[0, -1, labels].softmax(0)
    assert ranking.scores == pytest.approx(odds.tolist(), abs=1e-5)


def test_a_prefix_is_not_cached_where_the_long_rope_factors_start(golden, monkeypatch):
    """Alone, it would use the short ones."""
    rope = golden.network.decoder.rotary_emb
    turned = []
    forward = rope.forward

    def noted(x, position_ids):
        cos = forward(x, position_ids)
        turned.append((int(position_ids.max()) + 1, torch.equal(rope.inv_freq, rope.long_inv_freq)))
        return cos

    monkeypatch.setattr(rope, "forward", noted)
    image_processor = replace(golden.processor.image_processor, num_crops=1)
    monkeypatch.setattr(golden.processor, "image_processor", image_processor)
    golden.chat(ask("word " * 4200), [RED], max_new_tokens=1)
    assert [(tokens > 4096, long) for tokens, long in turned] == [(True, True)]


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_that_exceeds_the_context_is_refused_before_the_first_pass(small, method, tower_calls):
    with pytest.raises(AnswerError, match=r"prompt of \d+ tokens .* context of 1024"):
        small.rank("x" * 2000, RED, 9, method=method)
    with pytest.raises(AnswerError, match="answer of up to 2000"):
        small.chat(ask("?"), [RED], max_new_tokens=2000)
    assert tower_calls == []


def test_too_many_candidates_at_once_are_refused(small):
    with pytest.raises(QueryError, match="60 candidates cannot be ranked at once"):
        small.rank("?", RED, 60)
    with pytest.raises(QueryError, match="0 candidates"):
        small.rank("?", RED, 0)


hostile = st.text(max_size=10) | st.sampled_from(
    ["<|end|>", "<|user|>", "<|assistant|>", "<|image_1|>", "<|image|>", "<s>", "</s>", "<|sys"]
)


@settings(max_examples=scaled(fast=20, full=60))
@given(parts=st.lists(hostile, max_size=6))
def test_untrusted_text_stays_inside_its_turn(golden, parts):
    """Whatever the spelling, the only special tokens in the ids are those of the chat template."""
    text = "".join(parts)
    read, encode = [], golden.processor.encode

    class StopError(Exception):
        pass

    def only_encode(prompt, images, num_crops):
        read.extend(encode(prompt, images, num_crops))
        raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden.processor, "encode", only_encode)
        with pytest.raises(StopError):
            golden.rank(text, RED, 3)
    tokenizer = golden.processor.tokenizer
    special = tokenizer.backend.get_added_tokens_decoder().keys() - {tokenizer.image_token_id}
    named = ["<s>", "<|user|>", "<s>", "<|end|>", "<|assistant|>"]
    assert [i for i in read if i in special and i != 0] == [tokenizer.token_id(name) for name in named]
    assert read.count(tokenizer.image_token_id) == golden.processor.image_processor.num_tokens(*RED.size, 1)


def test_concurrent_callers_get_what_each_would_get_alone(small):
    """Two images, three kinds of question, eight threads."""

    def question(number):
        image = (RED, BLUE)[number % 2]
        if number % 3 == 0:
            return small.chat(ask(f"What is {number}?"), [image], max_new_tokens=6)
        method = METHODS[number % len(METHODS)]
        return small.rank(f"Which is {number}?", image, 5, method=method).order

    alone = [question(number) for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(question, range(24))) == alone


def test_a_slow_consumer_of_a_stream_blocks_no_other_caller(small):
    stream = small.stream(ask("Tell me"), [RED], max_new_tokens=20)
    next(stream)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(small.chat, ask("?"), [RED], max_new_tokens=3)
        other.result(timeout=60)
    assert "".join(stream)


def test_half_precision_ranks_too(golden_folder):
    model = Phi3Vision.from_pretrained(golden_folder, device="cpu", dtype=torch.bfloat16)
    model.ranking_config = replace(model.ranking_config, num_crops=1, max_reason_tokens=3)
    assert sorted(model.rank("?", RED, 4).order) == [1, 2, 3, 4]


def test_a_name_that_is_neither_folder_nor_repository_is_explained():
    with pytest.raises(CheckpointError, match="there is no folder 'nowhere'"):
        Phi3Vision.from_pretrained("nowhere")
