"""Checkpoints in the published layout are found, loaded and saved; every fault is named."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmrag.errors import CheckpointError
from mmrag.vision import Phi3Vision, RankingConfig
from mmrag.vision.phi3 import checkpoint
from mmrag.vision.phi3.checkpoint import find_checkpoint, load_vision_model, save_vision_model

UNUSED = "model.vision_embed_tokens.img_processor.vision_model."


@pytest.fixture
def copy(golden_folder, tmp_path):
    return shutil.copytree(golden_folder, tmp_path / "copy")


@pytest.fixture
def saved(small, tmp_path):
    folder = tmp_path / "saved"
    save_vision_model(small.network, small.processor, folder, ranking_config=small.ranking_config, dtype=torch.float32)
    return folder


def rewrite(folder, change):
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


def test_a_saved_model_comes_back_as_it_was(small, saved):
    again = Phi3Vision.from_pretrained(saved, device="cpu")
    assert again.ranking_config == small.ranking_config
    assert again.processor.image_processor == small.processor.image_processor
    before, after = small.network.state_dict(), again.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    inputs = small.prepare([{"role": "user", "content": "Hi"}])
    assert torch.equal(again.forward(**inputs).logits, small.forward(**inputs).logits)


def test_a_saved_model_has_the_published_names_and_shapes(golden, golden_folder, tmp_path):
    """All of the golden file but the unused layer, bit for bit."""
    save_vision_model(golden.network, golden.processor, tmp_path)
    ours, theirs = (load_file(tmp_path / "model.safetensors"), load_file(golden_folder / "model.safetensors"))
    unused = ("encoder.layers.2.", "post_layernorm.")
    wanted = {k: v for k, v in theirs.items() if not k.removeprefix(UNUSED).startswith(unused)}
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)
    assert {tensor.dtype for tensor in ours.values()} == {torch.float16}


def test_sizes_come_from_the_config(saved):
    model = Phi3Vision.from_pretrained(saved, device="cpu")
    assert (model.processor.image_processor.crop_size, model.processor.image_processor.tokens_per_side) == (96, 3)
    assert model.network.image_embedding.tokens_per_side == 3


def test_several_shards_are_one_model(golden, copy):
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: weights[name] for name in held}, copy / shard)
    index = {name: shard for shard, held in shards.items() for name in held}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    loaded = load_vision_model(copy).state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in golden.network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda w: w.pop("lm_head.weight"), r"1 missing \(lm_head.weight\)"),
        (lambda w: w.update(extra=torch.zeros(1)), r"1 unknown \(extra\)"),
        (lambda w: w.update({"model.norm.weight": torch.zeros(9)}), r"norm.weight is \(9,\), not"),
    ],
)
def test_weights_of_another_network_are_refused(copy, change, fault):
    rewrite(copy, change)
    with pytest.raises(CheckpointError, match=fault):
        load_vision_model(copy)


def test_known_unused_weights_may_be_there_or_not(copy):
    def without_and_with(weights):
        weights.pop(f"{UNUSED}post_layernorm.bias")
        weights["model.vision_embed_tokens.wte.weight"] = torch.zeros(2)

    rewrite(copy, without_and_with)
    load_vision_model(copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_file_is_named(copy, file):
    (copy / file).unlink()
    with pytest.raises(CheckpointError, match=file):
        Phi3Vision.from_pretrained(copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_a_damaged_file_is_named(copy, file):
    (copy / file).write_text('{"vocab_size": ')
    with pytest.raises(CheckpointError, match=file):
        Phi3Vision.from_pretrained(copy)


def test_truncated_weights_are_named(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged"):
        load_vision_model(copy)


def test_weights_are_memory_mapped(copy):
    """Changing a weight in memory does not change the file."""
    model = load_vision_model(copy, dtype=torch.float16)
    assert model.lm_head.weight.dtype == torch.float16
    before = (copy / "model.safetensors").read_bytes()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    assert (copy / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("text", ['{"method": "guess"}', '{"cells": 3}', '{"max_description_tokens": 0}', "[", "3"])
def test_an_invalid_ranking_config_is_refused(text, tmp_path):
    (tmp_path / "rerank.json").write_text(text)
    with pytest.raises(CheckpointError):
        RankingConfig.from_folder(tmp_path)


def test_a_ranking_config_is_written_and_read_back(tmp_path):
    config = RankingConfig("grades", True, "Find {query} in {n}", 96, 5, num_crops=12, max_description_tokens=9)
    (tmp_path / "rerank.json").write_text(config.to_json())
    assert RankingConfig.from_folder(tmp_path) == config


def test_without_a_ranking_config_the_defaults_apply(tmp_path):
    assert RankingConfig.from_folder(tmp_path) == RankingConfig()


def test_a_folder_is_returned_as_given(tmp_path):
    assert find_checkpoint(tmp_path) == tmp_path
    assert find_checkpoint(str(tmp_path)) == tmp_path


def test_a_repository_is_downloaded_without_its_code(tmp_path, monkeypatch):
    asked = {}

    def snapshot(repo, **options):
        asked.update(options, repo=repo)
        return str(tmp_path)

    monkeypatch.setattr(checkpoint, "snapshot_download", snapshot)
    name = checkpoint.PRETRAINED_MODELS[0]
    assert find_checkpoint(name, revision="abc") == tmp_path
    assert (asked["repo"], asked["revision"]) == (name, "abc")
    assert not any(pattern.endswith((".py", "*")) for pattern in asked["allow_patterns"])


def test_an_unreachable_hub_lists_the_files_to_place_by_hand():
    with pytest.raises(CheckpointError, match=r"(?s)revision 'abc' cannot be downloaded .* in a folder"):
        find_checkpoint(checkpoint.PRETRAINED_MODELS[0], revision="abc")


def test_a_missing_demo_says_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "DEMO_FOLDER", tmp_path / "demo")
    with pytest.raises(CheckpointError, match=r"examples.train_demo_models reranker"):
        find_checkpoint("demo")


@pytest.mark.parametrize("name", ["nowhere", "./a/b", "/no/such", "a/b/c"])
def test_a_path_that_does_not_exist_is_no_repository(name):
    with pytest.raises(CheckpointError, match="there is no folder"):
        find_checkpoint(name)
