"""Checkpoints load completely or raise an error that names tensor, file and next step."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from mmrag.embedding.visualized_bge.checkpoint import load_checkpoint, save_checkpoint
from mmrag.embedding.visualized_bge.modeling import JointEncoder, VisionConfig
from mmrag.errors import CheckpointError

WEIGHTS = "Visualized_tiny.pth"
UNUSED = re.compile(r"pooler|visual\.norm|head|logit_scale|blocks.*rope")


@pytest.fixture
def folder(base, tmp_path):
    """A copy of the golden encoder to break."""
    return shutil.copytree(base.folder, tmp_path / "encoder")


@pytest.fixture
def rewrite(folder):
    """Replaces the weights by what a function makes of them."""

    def apply(change):
        weights = torch.load(folder / WEIGHTS, weights_only=True)
        torch.save(change(dict(weights)), folder / WEIGHTS)
        return weights

    return apply


def without(*names):
    return lambda weights: {name: value for name, value in weights.items() if name not in names}


def test_a_saved_checkpoint_loads_with_equal_tensors(golden, tmp_path):
    network, tokenizer = load_checkpoint(golden.folder)
    save_checkpoint(network, tokenizer, tmp_path)
    again, tokenizer_again = load_checkpoint(tmp_path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert tokenizer_again(golden.texts)["input_ids"] == tokenizer(golden.texts)["input_ids"]


def test_a_saved_checkpoint_has_the_published_names_in_fp16(golden, tmp_path):
    save_checkpoint(*load_checkpoint(golden.folder), tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    published = torch.load(golden.folder / WEIGHTS, weights_only=True)
    assert saved.keys() == {name for name in published if not UNUSED.search(name)}
    assert {tensor.dtype for tensor in saved.values()} == {torch.float16}
    assert all(torch.equal(saved[name], published[name]) for name in saved)


def test_other_sizes_need_only_another_configuration(base, tmp_path):
    _, tokenizer = load_checkpoint(base.folder)
    text = BertConfig(
        vocab_size=1000,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=48,
    )
    small = JointEncoder(text, VisionConfig(image_size=64, patch_size=16, width=24, layers=1, head_width=8)).eval()
    save_checkpoint(small, tokenizer, tmp_path)
    again, _ = load_checkpoint(tmp_path)
    ids = torch.tensor([[2, 40, 41, 3]])
    pixels = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        one, two = (network(ids, torch.ones_like(ids), network.image_tokens(pixels)) for network in (small, again))
    assert (again.text_limit, again.composed_limit, again.dim) == (48, 48 - 16, 32)
    assert torch.allclose(one, two, atol=1e-2)  # half precision lies between them


def test_the_network_can_be_trained(base):
    network, _ = load_checkpoint(base.folder)
    ids = torch.tensor([[2, 40, 3]])
    vector = network(ids, torch.ones_like(ids), network.image_tokens(torch.randn(1, 3, 224, 224)))
    vector[0, 0].backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_unused_tensors_may_be_missing(rewrite, folder):
    rewrite(lambda weights: {n: value for n, value in weights.items() if not UNUSED.search(n)})
    load_checkpoint(folder)


def test_position_ids_of_old_releases_may_be_there(rewrite, folder):
    extra = {"bge_embeddings.position_ids": torch.arange(512)[None]}
    rewrite(lambda weights: weights | extra)
    load_checkpoint(folder)


def test_rope_tables_come_from_the_file(rewrite, folder):
    name = "model_visual.visual.rope.freqs_cos"
    rewrite(lambda weights: weights | {name: torch.full_like(weights[name], 0.25)})
    network, _ = load_checkpoint(folder)
    assert network.tower.rope.freqs_cos.unique().tolist() == [0.25]


def test_rope_tables_are_computed_when_the_file_has_none(rewrite, folder):
    tables = [f"model_visual.visual.rope.freqs_{part}" for part in ("cos", "sin")]
    published = rewrite(without(*tables))
    rope = load_checkpoint(folder)[0].tower.rope
    # The published ones are the same, rounded to half precision.
    for ours, name in zip((rope.freqs_cos, rope.freqs_sin), tables, strict=True):
        assert torch.equal(ours.half(), published[name])


def test_a_missing_tensor_is_named(rewrite, folder):
    rewrite(without("visual_proj.bias"))
    with pytest.raises(CheckpointError, match=r"lacks visual_proj\.bias"):
        load_checkpoint(folder)


@pytest.mark.parametrize("unknown", ["decoder.weight", "bge_encoder.layer.2.output.dense.bias"])
def test_an_unknown_tensor_is_named(rewrite, folder, unknown):
    rewrite(lambda weights: weights | {unknown: torch.zeros(1)})
    with pytest.raises(CheckpointError, match=re.escape(unknown)):
        load_checkpoint(folder)


def test_the_weights_of_another_variant_are_refused_by_shape(folder, xlm_roberta):
    shutil.copy(xlm_roberta.folder / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"another model.*\(8194, 64\).*\(512, 64\)"):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 torn"])
@pytest.mark.parametrize("name", [WEIGHTS, "model.safetensors"])
def test_a_damaged_file_is_refused(folder, name, content):
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read.*fetch it again"):
        load_checkpoint(folder)


def test_a_pickle_that_would_run_code_is_refused(folder):
    torch.save({"x": shutil.rmtree}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        load_checkpoint(folder)


def test_a_training_checkpoint_is_refused(folder):
    torch.save({"model": {"visual_proj.bias": torch.zeros(1)}, "step": 3}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="no plain state dict"):
        load_checkpoint(folder)


def test_two_weight_files_are_refused(folder):
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"{WEIGHTS}, model.safetensors|model.*{WEIGHTS}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("lost", [WEIGHTS, "vision_config.json", "text/config.json"])
def test_a_missing_file_is_named(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(CheckpointError, match=r"exactly one \*.safetensors or|" + re.escape(lost)):
        load_checkpoint(folder)


@pytest.mark.parametrize("content", [None, "{}", "torn"])
def test_a_missing_or_damaged_tokenizer_is_named(folder, content):
    path = folder / "text" / "tokenizer.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(CheckpointError, match=r"no tokenizer .*tokenizer\.json"):
        load_checkpoint(folder)


def test_the_tokenizer_of_another_model_is_refused(folder, xlm_roberta):
    shutil.copy(xlm_roberta.folder / "text" / "tokenizer.json", folder / "text")
    with pytest.raises(CheckpointError, match=r"1105 words.*1000"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 15}, "no multiple of patch_size 15"),
        ({"head_width": 6}, "head_width 6"),
        ({"rope": False}, "without 'rope'"),
        ({"width": "wide"}, "does not describe a tower"),
    ],
)
def test_an_invalid_vision_config_is_refused(folder, change, message):
    path = folder / "vision_config.json"
    content = json.loads(path.read_text())
    content["vision_cfg"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_another_text_model_is_refused(folder):
    (folder / "text" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError, match=r"'gpt2'.*bert or xlm-roberta"):
        load_checkpoint(folder)
