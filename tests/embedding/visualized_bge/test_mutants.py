"""Every mutant of the network exceeds the golden tolerance; mutants of the preprocessing have a file of their own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaEmbeddings

from mmrag.embedding import batching
from mmrag.embedding.visualized_bge import model, modeling
from mmrag.embedding.visualized_bge.modeling import JointEncoder, Rope, VisionTower

TOLERANCE = 1e-5


def no_rope(patch, network, weights):
    patch.setattr(Rope, "forward", lambda self, heads: heads)


def rope_tables_recomputed(patch, network, weights):
    network.tower.rope = Rope(network.vision_config)


def rope_pairs_half_split(patch, network, weights):
    def rotate_half(x):
        first, second = x.chunk(2, dim=-1)
        return torch.cat([-second, first], dim=-1)

    patch.setattr(modeling, "_rotate_half", rotate_half)


def rope_axes_swapped(patch, network, weights):
    rope = network.tower.rope
    for table in (rope.freqs_cos, rope.freqs_sin):
        table.copy_(torch.cat(table.chunk(2, dim=-1)[::-1], dim=-1))


def rope_on_queries_only(patch, network, weights):
    original, calls = Rope.forward, iter(range(10**9))
    patch.setattr(Rope, "forward", lambda self, heads: heads if next(calls) % 2 else original(self, heads))


def tower_eps_of_text_models(patch, network, weights):
    set_eps(network.tower, 1e-5)


def text_eps_of_the_other_family(patch, network, weights):
    set_eps(network.text, 1e-5 if network.text_config.layer_norm_eps < 1e-5 else 1e-12)


def tower_norm_applied(patch, network, weights):
    norm = [weights[f"model_visual.visual.norm.{part}"].float() for part in ("weight", "bias")]
    original = VisionTower.forward
    patch.setattr(
        VisionTower, "forward", lambda self, pixels: F.layer_norm(original(self, pixels), norm[0].shape, *norm, 1e-6)
    )


def no_norm_inside_attention(patch, network, weights):
    for block in network.tower.blocks:
        block.attn.inner_attn_ln = nn.Identity()


def no_norm_inside_the_mlp(patch, network, weights):
    for block in network.tower.blocks:
        block.mlp.ffn_ln = nn.Identity()


def no_bias_on_queries(patch, network, weights):
    for block in network.tower.blocks:
        nn.init.zeros_(block.attn.q_bias)


def gate_and_value_swapped(patch, network, weights):
    for block in network.tower.blocks:
        block.mlp.w1, block.mlp.w2 = block.mlp.w2, block.mlp.w1


def no_positions_in_the_tower(patch, network, weights):
    nn.init.zeros_(network.tower.pos_embed)


def image_positions_off_by_one(patch, network, weights):
    def image_tokens(self, pixels):
        seen, embeddings = self.projection(self.tower(pixels)), self.text.embeddings
        return embeddings.LayerNorm(seen + embeddings.position_embeddings.weight[: seen.shape[1]])

    patch.setattr(JointEncoder, "image_tokens", image_tokens)


def word_positions_beside_an_image_off_by_one(patch, network, weights):
    def composed(embeddings, ids, position_ids):
        return embeddings(ids, position_ids=position_ids - (position_ids > 0).long())

    intercept(patch, network, composed)


def words_beside_an_image_keep_their_positions(patch, network, weights):
    def composed(embeddings, ids, position_ids):
        return embeddings(ids, position_ids=torch.arange(ids.shape[1]).expand_as(ids))

    intercept(patch, network, composed)


def padding_offset_beside_an_image(patch, network, weights):
    def composed(embeddings, ids, position_ids):
        return embeddings(ids, position_ids=position_ids + 2)

    intercept(patch, network, composed)


def no_padding_offset_in_texts(patch, network, weights):
    patch.setattr(
        XLMRobertaEmbeddings,
        "create_position_ids_from_input_ids",
        staticmethod(lambda ids, *_: torch.arange(ids.shape[1]).expand_as(ids)),
    )


def token_type_on_image_tokens(patch, network, weights):
    token_type = network.text.embeddings.token_type_embeddings.weight[0]
    network.projection.bias.add_(token_type)


def no_token_type_on_words(patch, network, weights):
    nn.init.zeros_(network.text.embeddings.token_type_embeddings.weight)


def image_tokens_not_normed(patch, network, weights):
    def image_tokens(self, pixels):
        seen = self.projection(self.tower(pixels))
        return seen + self.text.embeddings.position_embeddings.weight[1 : 1 + seen.shape[1]]

    patch.setattr(JointEncoder, "image_tokens", image_tokens)


def class_token_kept_instead_of_the_last_patch(patch, network, weights):
    def forward(self, pixels):
        patches = self.patch_embed(pixels)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1)
        tokens = tokens + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens, self.rope)
        return tokens[:, :-1]

    patch.setattr(VisionTower, "forward", forward)


def pooler_applied(patch, network, weights):
    weight, bias = (weights[f"bge_pooler.dense.{part}"].float() for part in ("weight", "bias"))
    change_hidden(patch, network, lambda hidden: torch.tanh(F.linear(hidden, weight, bias)))


def mean_instead_of_first(patch, network, weights):
    change_hidden(patch, network, lambda hidden: hidden.mean(1, keepdim=True).expand_as(hidden))


def gelu_by_tanh(patch, network, weights):
    for layer in network.text.encoder.layer:
        layer.intermediate.intermediate_act_fn = nn.GELU(approximate="tanh")


def padding_on_the_left(patch, network, weights):
    def pad_batch(batch, pad):
        ids, mask = batching.pad_batch(batch, pad)
        shifts = [int((row == 0).sum()) for row in mask]
        moved = [row.roll(shift) for row, shift in zip(ids, shifts, strict=True)]
        masks = [row.roll(shift) for row, shift in zip(mask, shifts, strict=True)]
        return torch.stack(moved), torch.stack(masks)

    patch.setattr(model, "pad_batch", pad_batch)


def pads_not_masked(patch, network, weights):
    def pad_batch(batch, pad):
        ids, mask = batching.pad_batch(batch, pad)
        return ids, torch.ones_like(mask)

    patch.setattr(model, "pad_batch", pad_batch)


def image_masked(patch, network, weights):
    patch.setattr(
        modeling,
        "create_bidirectional_mask",
        lambda config, inputs_embeds, attention_mask: (
            attention_mask[:, None, None].bool() & (torch.arange(attention_mask.shape[1]) != 1)
        ),
    )


EVERYWHERE = [
    no_rope,
    rope_tables_recomputed,
    rope_pairs_half_split,
    rope_axes_swapped,
    rope_on_queries_only,
    tower_eps_of_text_models,
    text_eps_of_the_other_family,
    tower_norm_applied,
    no_norm_inside_attention,
    no_norm_inside_the_mlp,
    no_bias_on_queries,
    gate_and_value_swapped,
    no_positions_in_the_tower,
    image_positions_off_by_one,
    word_positions_beside_an_image_off_by_one,
    words_beside_an_image_keep_their_positions,
    token_type_on_image_tokens,
    no_token_type_on_words,
    image_tokens_not_normed,
    class_token_kept_instead_of_the_last_patch,
    pooler_applied,
    mean_instead_of_first,
    gelu_by_tanh,
    padding_on_the_left,
    pads_not_masked,
    image_masked,
]


@pytest.mark.parametrize("mutant", EVERYWHERE, ids=lambda mutant: mutant.__name__)
def test_a_mutant_exceeds_the_tolerance(golden, mutant, monkeypatch):
    assert golden.error_with(mutant, monkeypatch) > TOLERANCE


@pytest.mark.parametrize(
    "mutant", [padding_offset_beside_an_image, no_padding_offset_in_texts], ids=lambda mutant: mutant.__name__
)
def test_a_mutant_of_xlm_roberta_exceeds_the_tolerance(xlm_roberta, mutant, monkeypatch):
    assert xlm_roberta.error_with(mutant, monkeypatch) > TOLERANCE


def test_the_unchanged_network_stays_within_the_tolerance(golden, monkeypatch):
    assert golden.error_with(lambda patch, network, weights: None, monkeypatch) <= TOLERANCE


def set_eps(module, eps):
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = eps


def intercept(patch, network, composed):
    """Let `composed` embed the words beside an image."""
    embeddings = network.text.embeddings
    original = embeddings.forward

    def forward(input_ids, position_ids=None):
        if position_ids is None:
            return original(input_ids)
        return composed(original, input_ids, position_ids)

    patch.setattr(embeddings, "forward", forward)


def change_hidden(patch, network, change):
    """Change the output of the text model before [CLS] is taken."""

    def hook(module, inputs, output):
        output.last_hidden_state = change(output.last_hidden_state)
        return output

    network.text.encoder.register_forward_hook(hook)
