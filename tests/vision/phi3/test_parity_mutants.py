"""Mutants of tokenizer and network: the golden data must detect each."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from mmrag.vision.phi3.configuration import Phi3VisionConfig
from mmrag.vision.phi3.modeling import ImageEmbedding, Phi3VisionNetwork
from mmrag.vision.phi3.processing import Phi3VisionProcessor
from mmrag.vision.phi3.tokenizer import Phi3Tokenizer


def rope_never_long(model, patch):
    rope = model.network.decoder.rotary_emb
    rope.long_inv_freq = rope.original_inv_freq.clone()


def rope_always_long(model, patch):
    published = dict(model.network.config.published)
    scaling = published["rope_scaling"]
    published["rope_scaling"] = scaling | {"short_factor": scaling["long_factor"]}
    _rope_of(model, published)


def rope_unscaled_when_short(model, patch):
    model.network.decoder.rotary_emb.attention_scaling = 1.0


def rope_plain(model, patch):
    _rope_of(model, dict(model.network.config.published) | {"rope_scaling": None})


def one_start_for_all_chunks(model, patch):
    whole = Phi3Tokenizer.encode

    def bare_after_a_image(self, chunk):
        ids = whole(self, chunk)
        return ids[1:] if chunk.startswith("\n") else ids

    patch.setattr(Phi3Tokenizer, "encode", bare_after_a_image)


def newline_kept_behind_assistant(model, patch):
    whole = Phi3Tokenizer.encode
    newline = model.processor.tokenizer.token_id("<0x0A>")

    def with_newline(self, chunk):
        return whole(self, chunk) + ([newline] if chunk.endswith("<|assistant|>\n") else [])

    patch.setattr(Phi3Tokenizer, "encode", with_newline)


def no_space_behind_the_turn(model, patch):
    patch.setattr(
        Phi3VisionProcessor,
        "apply_chat_template",
        lambda self, messages: "".join(f"<|{m['role']}|>{m['content']}<|end|>" for m in messages),
    )


def tower_read_at_its_end(model, patch):
    tower, sizes = model.network.image_embedding.vision_tower, model.network.config.vision_config
    whole = CLIPVisionModel(CLIPVisionConfig.from_dict(sizes.to_dict())).eval()
    whole.load_state_dict(tower.state_dict(), strict=False)
    whole.post_layernorm = nn.Identity()
    model.network.image_embedding.vision_tower = whole


def tower_normed_at_its_end(model, patch):
    seen = ImageEmbedding.crop_features

    def normed(self, crops):
        patches = seen(self, crops)
        return nn.functional.layer_norm(patches, patches.shape[-1:])

    patch.setattr(ImageEmbedding, "crop_features", normed)


def tower_with_exact_gelu(model, patch):
    for layer in model.network.image_embedding.vision_tower.encoder.layers:
        layer.mlp.activation_fn = nn.GELU()


def class_token_kept_for_the_last_patch(model, patch):
    tower = model.network.image_embedding.vision_tower
    seen = tower.forward

    def shifted(**pixels):
        output = seen(**pixels)
        output.last_hidden_state = output.last_hidden_state.roll(1, dims=1)
        return output

    patch.setattr(tower, "forward", shifted)


def patches_merged_across_the_wrong_axis(model, patch):
    def transposed(self, crops):
        seen = self.vision_tower(pixel_values=crops).last_hidden_state[:, 1:]
        return (
            seen.unflatten(1, (self.tokens_per_side, 2, self.tokens_per_side, 2)).permute(0, 1, 3, 4, 2, 5).flatten(3)
        )

    patch.setattr(ImageEmbedding, "crop_features", transposed)


def crops_stitched_column_by_column(model, patch):
    merge = ImageEmbedding.merge_crops

    def transposed(self, patches, rows, columns):
        parts = patches[1:].unflatten(0, (columns, rows)).transpose(0, 1).flatten(0, 1)
        return merge(self, torch.cat([patches[:1], parts]), rows, columns)

    patch.setattr(ImageEmbedding, "merge_crops", transposed)


def whole_before_parts(model, patch):
    merge = ImageEmbedding.merge_crops

    def turned(self, patches, rows, columns):
        tokens = merge(self, patches, rows, columns)
        whole = self.tokens_per_side * (self.tokens_per_side + 1)
        return torch.cat([tokens[-whole:], tokens[-whole - 1 : -whole], tokens[: -whole - 1]])

    patch.setattr(ImageEmbedding, "merge_crops", turned)


def separators_swapped(model, patch):
    images = model.network.image_embedding
    images.sub_separator, images.global_separator = images.global_separator, images.sub_separator


def separators_not_projected(model, patch):
    merge = ImageEmbedding.merge_crops
    ends = {
        "sub_separator": model.network.image_embedding.sub_separator,
        "global_separator": model.network.image_embedding.global_separator,
    }

    def bare(self, patches, rows, columns):
        tokens = merge(self, patches, rows, columns)
        for separator in ends.values():
            tokens[(tokens == separator).all(-1)] = 0.0
        return tokens

    patch.setattr(ImageEmbedding, "merge_crops", bare)


def images_in_reverse(model, patch):
    embed = Phi3VisionNetwork.embed

    def reversed_(self, input_ids, image_tokens=None):
        flipped = None if image_tokens is None else image_tokens.flip(0)
        return embed(self, input_ids, flipped)

    patch.setattr(Phi3VisionNetwork, "embed", reversed_)


MUTANTS = [
    (rope_never_long, "two_images_16"),
    (rope_always_long, "text_plain"),
    (rope_unscaled_when_short, "text_plain"),
    (rope_plain, "text_plain"),
    (one_start_for_all_chunks, "small_4"),
    (newline_kept_behind_assistant, "text_plain"),
    (no_space_behind_the_turn, "text_plain"),
    (tower_read_at_its_end, "small_4"),
    (tower_normed_at_its_end, "small_4"),
    (tower_with_exact_gelu, "small_4"),
    (class_token_kept_for_the_last_patch, "small_4"),
    (patches_merged_across_the_wrong_axis, "small_4"),
    (crops_stitched_column_by_column, "landscape_16"),
    (whole_before_parts, "small_4"),
    (separators_swapped, "small_4"),
    (separators_not_projected, "small_4"),
    (images_in_reverse, "two_images_16"),
]


@pytest.mark.parametrize(("break_it", "case"), [pytest.param(*pair, id=pair[0].__name__) for pair in MUTANTS])
def test_the_golden_data_detect_the_mutant(break_it, case, mutant, faults, monkeypatch):
    break_it(mutant, monkeypatch)
    assert faults(mutant, case) != []


def test_the_unchanged_model_has_no_fault(mutant, faults):
    assert faults(mutant, "small_4") == []


def test_the_whole_context_is_one_window(golden):
    """Too far out for the golden data: a window as long as the context is none."""
    assert golden.network.config.published["sliding_window"] == 131072
    assert golden.network.decoder.config.sliding_window is None


def test_generation_ends_where_turns_end_and_not_at_the_configured_id(golden):
    assert golden.network.config.published["eos_token_id"] == 2
    assert golden.processor.tokenizer.stop_token_ids == {32000, 32001, 32007}
    assert golden.processor.tokenizer.pad_token_id == 32000


def _rope_of(model, published):
    rope = Phi3VisionNetwork(Phi3VisionConfig(published), 0).decoder.rotary_emb
    model.network.decoder.rotary_emb = rope
