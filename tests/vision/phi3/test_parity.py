"""Parity with the published network, within the tolerances of the golden README."""

from __future__ import annotations

import PIL.Image
import pytest
import torch

CASES = ("text_plain", "text_system", "landscape_16", "portrait_4")
CASES += ("square_16", "small_4", "two_images_16", "multi_turn_4")


def test_no_golden_case_is_left_out(cases):
    assert set(CASES) == set(cases)


@pytest.mark.parametrize("name", CASES)
def test_ids_pixels_logits_and_greedy_answer_are_the_published_ones(name, golden, faults):
    assert faults(golden, name) == []


def test_a_left_padded_batch_gives_the_logits_of_each_alone(golden, cases, golden_folder):
    """Of different lengths, with images, without and then with the cache."""
    batch = [_inputs(golden, cases[name], golden_folder) for name in ("small_4", "portrait_4")]
    longest = max(inputs["input_ids"].shape[1] for inputs in batch)
    padding = golden.processor.tokenizer.pad_token_id
    together = golden.forward(
        input_ids=torch.cat([_padded(i["input_ids"], longest, padding) for i in batch]),
        attention_mask=torch.cat([_padded(i["attention_mask"], longest, 0) for i in batch]),
        pixel_values=torch.cat([i["pixel_values"] for i in batch]),
        image_sizes=torch.cat([i["image_sizes"] for i in batch]),
    ).logits  # (2, longest, tokenizer)
    for row, inputs in zip(together, batch, strict=True):
        alone = golden.forward(**inputs).logits[0]
        torch.testing.assert_close(row[-len(alone) :], alone, atol=1e-4, rtol=0)


def test_a_left_padded_batch_decodes_with_its_cache(golden, cases, expected, golden_folder):
    from transformers.cache_utils import DynamicCache

    names = ("text_plain", "text_system")
    batch = [_inputs(golden, cases[name], golden_folder) for name in names]
    longest = max(inputs["input_ids"].shape[1] for inputs in batch)
    padding = golden.processor.tokenizer.pad_token_id
    ids = torch.cat([_padded(i["input_ids"], longest, padding) for i in batch])
    mask = torch.cat([_padded(i["attention_mask"], longest, 0) for i in batch])
    cache, steps = DynamicCache(), []
    for _ in range(12):
        with torch.inference_mode():
            ids = golden.network(ids, mask, cache=cache).logits[:, -1:].argmax(-1)  # (2, 1)
        steps.append(ids)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
    answers = torch.cat(steps, dim=1).tolist()
    assert answers == [expected[f"{name}.greedy"].tolist() for name in names]


def test_greedy_decoding_without_a_cache_gives_the_same_answer(golden, cases, expected, golden_folder):
    inputs = _inputs(golden, cases["small_4"], golden_folder)
    for token in expected["small_4.greedy"][:4]:
        logits = golden.forward(**inputs).logits
        assert int(logits[0, -1].argmax()) == token
        for name, value in (("input_ids", int(token)), ("attention_mask", 1)):
            inputs[name] = torch.cat([inputs[name], torch.tensor([[value]])], dim=1)


def test_forward_does_not_change_its_inputs(golden, cases, golden_folder):
    inputs = _inputs(golden, cases["small_4"], golden_folder)
    before = inputs["input_ids"].clone()
    golden.forward(**inputs)
    assert torch.equal(inputs["input_ids"], before)


def test_padding_crops_never_count(golden, cases, golden_folder):
    inputs = _inputs(golden, cases["portrait_4"], golden_folder)
    before = golden.forward(**inputs).logits
    height, width = inputs["image_sizes"][0].tolist()
    inputs["pixel_values"][0, height * width // 336**2 + 1 :] = 7.0
    assert torch.equal(golden.forward(**inputs).logits, before)


def _inputs(model, case, folder):
    images = [PIL.Image.open(folder / file) for file in case["images"]]
    return model.prepare(case["messages"], images, case["num_crops"])


def _padded(row, length, value):
    return torch.nn.functional.pad(row, (length - row.shape[1], 0), value=value)
