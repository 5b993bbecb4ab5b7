"""Networks of Visualized BGE, with attributes named as in the published checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel
from transformers.masking_utils import create_bidirectional_mask

__all__ = ["JointEncoder", "TextConfig", "VisionConfig", "VisionTower"]

TextConfig = BertConfig | XLMRobertaConfig

# eva_clip/model.py builds every LayerNorm of the tower with this eps; no config file holds it.
_EPS = 1e-6
_ROPE_BASE = 10_000.0


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of a vision tower, with the field names of the published ``vision_cfg``."""

    image_size: int
    patch_size: int
    width: int
    layers: int
    head_width: int = 64
    mlp_ratio: float = 2.6667
    pt_hw_seq_len: int = 16

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        if self.width % self.head_width or self.head_width % 4:
            raise ValueError(
                f"width {self.width} must be a multiple of head_width {self.head_width}, "
                "and head_width one of 4 (two axes, rotated in pairs)"
            )

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Number of tokens per image."""
        return self.grid**2


class JointEncoder(nn.Module):
    """A BERT (base) or XLM-RoBERTa (m3) encoder with image tokens: ``[CLS] image tokens, words [SEP]``."""

    def __init__(self, text_config: TextConfig, vision_config: VisionConfig) -> None:
        super().__init__()
        self.text_config = text_config
        self.vision_config = vision_config
        if isinstance(text_config, XLMRobertaConfig):
            self.text = XLMRobertaModel(text_config, add_pooling_layer=False)
        else:
            self.text = BertModel(text_config, add_pooling_layer=False)
        self.tower = VisionTower(vision_config)
        self.projection = nn.Linear(vision_config.width, text_config.hidden_size)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.text_config.hidden_size

    @property
    def text_limit(self) -> int:
        """Maximum number of tokens of a text alone, ``[CLS]`` and ``[SEP]`` included."""
        positions = self.text_config.max_position_embeddings
        if isinstance(self.text_config, XLMRobertaConfig):
            # Text alone counts from padding_idx + 1 in this family.
            return positions - 1 - (self.text_config.pad_token_id or 0)
        return positions

    @property
    def composed_limit(self) -> int:
        """Maximum number of tokens of a text beside an image, where both families count from 0."""
        return self.text_config.max_position_embeddings - self.vision_config.tokens

    def image_tokens(self, pixels: Tensor) -> Tensor:
        """Embed normalized pixels, ``(batch, 3, side, side)``, as tokens of the text model, ``(batch, N, dim)``."""
        embeddings: Any = self.text.embeddings
        projected = self.projection(self.tower(pixels))  # (batch, N, dim)
        positions = embeddings.position_embeddings.weight[1 : 1 + projected.shape[1]]  # (N, dim)
        # No word and no token-type embedding, but the text model's own LayerNorm.
        return embeddings.LayerNorm(projected + positions)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, image_tokens: Tensor | None = None) -> Tensor:
        """Encode texts, each with its image if image tokens are given, to L2-normalized vectors, ``(batch, dim)``.

        Ids and mask are ``(batch, length)``, padded on the right; image tokens, ``(batch, N, dim)``, are those of
        `image_tokens`. An image alone has the empty text.
        """
        if image_tokens is None:
            hidden = self.text.embeddings(input_ids)  # (batch, length, dim)
        else:
            # [CLS] has position 0, the image 1..N, words follow: without padding offset in both families.
            n = image_tokens.shape[1]
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)  # (length,)
            positions = positions + n * (positions > 0)
            words = self.text.embeddings(input_ids, position_ids=positions.expand_as(input_ids))
            hidden = torch.cat([words[:, :1], image_tokens, words[:, 1:]], dim=1)  # (batch, length + N, dim)
            attention_mask = F.pad(attention_mask, (n, 0), value=1)  # (batch, N + length); [CLS] is never padding
        mask = create_bidirectional_mask(config=self.text.config, inputs_embeds=hidden, attention_mask=attention_mask)
        last = self.text.encoder(hidden, attention_mask=mask).last_hidden_state
        # [CLS], in full precision whatever the weights have; the pooler is never used.
        return F.normalize(last[:, 0].float(), dim=-1)


class VisionTower(nn.Module):
    """EVA02 vision transformer without the final norm and head, which Visualized BGE never applies."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(config)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + config.tokens, config.width))
        self.rope = Rope(config)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode normalized pixels, ``(batch, 3, side, side)``, to patch tokens, ``(batch, patches, width)``."""
        patches = self.patch_embed(pixels)  # (batch, patches, width)
        first = self.cls_token.expand(len(patches), -1, -1)  # (batch, 1, width)
        tokens = torch.cat([first, patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens, self.rope)  # (batch, 1 + patches, width)
        return tokens[:, 1:]  # without the class token


class Rope(nn.Module):
    """Rotary position embedding on a square grid: rows rotate the first half of a head, columns the second.

    The tables are buffers of the checkpoint: published files hold them rounded to fp16, and exact ones give other
    embeddings.
    """

    freqs_cos: Tensor
    freqs_sin: Tensor

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        per_axis = config.head_width // 2
        frequencies = _ROPE_BASE ** -(torch.arange(0, per_axis, 2).float() / per_axis)
        # A grid of any size is interpolated to the positions of pre-training.
        positions = torch.arange(config.grid) / config.grid * config.pt_hw_seq_len
        per_position = torch.outer(positions, frequencies).repeat_interleave(2, dim=1)  # (grid, per_axis)
        rows = per_position[:, None].expand(-1, config.grid, -1)
        columns = per_position[None].expand(config.grid, -1, -1)
        angles = torch.cat([rows, columns], dim=-1).flatten(0, 1)  # (patches, head_width)
        self.register_buffer("freqs_cos", angles.cos())
        self.register_buffer("freqs_sin", angles.sin())

    def forward(self, heads: Tensor) -> Tensor:
        """Rotate ``(batch, heads, 1 + patches, head_width)``; the class token stays as it is."""
        first, patches = heads[:, :, :1], heads[:, :, 1:]
        rotated = patches * self.freqs_cos + _rotate_half(patches) * self.freqs_sin
        return torch.cat([first, rotated.to(heads.dtype)], dim=2)


def _rotate_half(x: Tensor) -> Tensor:
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([-odd, even], dim=-1).flatten(-2)  # (a, b, c, d) -> (-b, a, -d, c)


class _PatchEmbedding(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.side = config.patch_size
        self.proj = nn.Conv2d(3, config.width, self.side, stride=self.side)

    def forward(self, pixels: Tensor) -> Tensor:
        # Equal to a convolution, which a GPU would round to TF32 by default.
        patches = F.unfold(pixels, self.side, stride=self.side).transpose(1, 2)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class _Block(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=_EPS)
        self.attn = _Attention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=_EPS)
        self.mlp = _SwiGLU(config)

    def forward(self, tokens: Tensor, rope: Rope) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), rope)
        return tokens + self.mlp(self.norm2(tokens))


class _Attention(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.width
        self.head_width = config.head_width
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)  # keys have no bias at all
        self.v_proj = nn.Linear(width, width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.inner_attn_ln = nn.LayerNorm(width, eps=_EPS)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rope: Rope) -> Tensor:
        q = rope(self._heads(F.linear(tokens, self.q_proj.weight, self.q_bias)))
        k = rope(self._heads(self.k_proj(tokens)))
        v = self._heads(F.linear(tokens, self.v_proj.weight, self.v_bias))
        attended = F.scaled_dot_product_attention(q, k, v)  # (batch, heads, tokens, head_width)
        return self.proj(self.inner_attn_ln(attended.transpose(1, 2).flatten(2)))

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_width).transpose(1, 2)


class _SwiGLU(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        hidden = int(config.width * config.mlp_ratio)
        self.w1 = nn.Linear(config.width, hidden)
        self.w2 = nn.Linear(config.width, hidden)
        self.ffn_ln = nn.LayerNorm(hidden, eps=_EPS)
        self.w3 = nn.Linear(hidden, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.w3(self.ffn_ln(F.silu(self.w1(tokens)) * self.w2(tokens)))
