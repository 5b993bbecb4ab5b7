"""The EVA02-CLIP vision tower: images as pixels in, one token per patch out.

Attribute names are those of the published checkpoints, so that loading one needs no renaming here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["VisionConfig", "VisionTower"]

# eva_clip/model.py builds every LayerNorm of the tower with this eps; no config file carries it.
_EPS = 1e-6
_ROPE_BASE = 10_000.0


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of a tower; field names are those of the published ``vision_cfg``.

    Examples
    --------
    >>> VisionConfig(image_size=224, patch_size=16, width=768, layers=12).tokens
    196
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    head_width: int = 64
    mlp_ratio: float = 2.6667
    pt_hw_seq_len: int = 16

    def __post_init__(self) -> None:
        """Refuse sizes that no tower can have."""
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is no multiple of patch_size {self.patch_size}")
        if self.width % self.head_width or self.head_width % 4:
            raise ValueError(
                f"width {self.width} must be a multiple of head_width {self.head_width}, "
                "and head_width one of 4 (two axes, rotated in pairs)"
            )

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens an image becomes."""
        return self.grid**2


class VisionTower(nn.Module):
    """EVA02 without its final norm and head, which Visualized BGE never applies.

    Parameters
    ----------
    config
        The sizes.
    """

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
        """Look at images.

        Parameters
        ----------
        pixels
            Normalized, ``(batch, 3, side, side)``.

        Returns
        -------
        Tensor
            ``(batch, patches, width)``: the last block's output, the class token dropped.
        """
        patches = self.patch_embed(pixels)  # (batch, patches, width)
        first = self.cls_token.expand(len(patches), -1, -1)  # (batch, 1, width)
        tokens = torch.cat([first, patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens, self.rope)  # (batch, 1 + patches, width)
        return tokens[:, 1:]


class Rope(nn.Module):
    """Rotary positions on a square grid: rows turn the first half of a head, columns the second.

    The tables are buffers *of the checkpoint*: published files hold them rounded to fp16, and
    exact ones give other embeddings.
    """

    freqs_cos: Tensor
    freqs_sin: Tensor

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        angles = _angles(config)
        self.register_buffer("freqs_cos", angles.cos())
        self.register_buffer("freqs_sin", angles.sin())

    def forward(self, heads: Tensor) -> Tensor:
        """Rotate ``(batch, heads, 1 + patches, head_width)``; the class token stays as it is."""
        first, patches = heads[:, :, :1], heads[:, :, 1:]
        turned = patches * self.freqs_cos + _quarter_turn(patches) * self.freqs_sin
        return torch.cat([first, turned.to(heads.dtype)], dim=2)


def _angles(config: VisionConfig) -> Tensor:
    per_axis = config.head_width // 2
    speeds = _ROPE_BASE ** -(torch.arange(0, per_axis, 2).float() / per_axis)
    # A grid of any size is stretched over the positions of pre-training.
    places = torch.arange(config.grid) / config.grid * config.pt_hw_seq_len
    turns = torch.outer(places, speeds).repeat_interleave(2, dim=1)  # (grid, per_axis)
    rows = turns[:, None].expand(-1, config.grid, -1)
    columns = turns[None].expand(config.grid, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)  # (patches, head_width)


def _quarter_turn(x: Tensor) -> Tensor:
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([-odd, even], dim=-1).flatten(-2)  # (a, b, c, d) -> (-b, a, -d, c)


class _PatchEmbedding(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.side = config.patch_size
        self.proj = nn.Conv2d(3, config.width, self.side, stride=self.side)

    def forward(self, pixels: Tensor) -> Tensor:
        # The same as a convolution, which a GPU would round to TF32 by default.
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
        seen = F.scaled_dot_product_attention(q, k, v)  # (batch, heads, tokens, head_width)
        return self.proj(self.inner_attn_ln(seen.transpose(1, 2).flatten(2)))

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
