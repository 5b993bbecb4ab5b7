"""Phi-3 Vision's network on transformers' own Phi-3 and CLIP. In: ids and crops. Out: logits.

Differentiable and free of state: no cache, lock or device of its own; see `phi3.py` for those.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.phi3.modeling_phi3 import Phi3Model, Phi3RotaryEmbedding

from mmrag.vision.phi3.configuration import Phi3VisionConfig

__all__ = ["ImageEmbedding", "Phi3VisionNetwork"]


class ImageEmbedding(nn.Module):
    """Crops of an image to tokens of the decoder: tower, 2 x 2 merge, row ends, projection."""

    def __init__(self, config: Phi3VisionConfig) -> None:
        super().__init__()
        width, hidden = config.tower.hidden_size, config.language.hidden_size
        self.crop, self.grid = config.crop, config.grid
        self.tower = _tower(config.tower)
        self.row_end = nn.Parameter(torch.zeros(4 * width))
        self.divider = nn.Parameter(torch.zeros(4 * width))
        self.projection = nn.Sequential(nn.Linear(4 * width, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, pixel_values: Tensor, image_sizes: Tensor) -> Tensor:
        """All images' tokens in a row: (images, crops, 3, side, side) -> (tokens, hidden).

        ``image_sizes`` (images, 2) are height and width after padding; crops past an image's
        own (the processor pads with zeros) never reach the tower.
        """
        shapes = [(h // self.crop, w // self.crop) for h, w in image_sizes.tolist()]
        real = [crops[: rows * columns + 1] for crops, (rows, columns) in zip(pixel_values, shapes, strict=True)]
        patches = self.patches(torch.cat(real))  # (all crops, grid, grid, 4 width)
        images = patches.split([len(crops) for crops in real])
        merged = [self.merge(p, *shape) for p, shape in zip(images, shapes, strict=True)]
        return self.projection(torch.cat(merged))  # (tokens, hidden)

    def patches(self, crops: Tensor) -> Tensor:
        """See each crop alone: (crops, 3, side, side) -> (crops, grid, grid, 4 width)."""
        dtype = self.row_end.dtype
        seen = self.tower(pixel_values=crops.to(dtype)).last_hidden_state
        seen = seen[:, 1:]  # (crops, patches, width): the class token says nothing about a place
        seen = seen.unflatten(1, (self.grid, 2, self.grid, 2))  # (crops, y, 2, x, 2, width)
        return seen.transpose(2, 3).flatten(3)  # (crops, y, x, 4 width)

    def merge(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """One image, global view first: (rows x columns + 1, grid, grid, c) -> (tokens, c)."""
        whole, parts = patches[0], patches[1:]
        parts = parts.unflatten(0, (rows, columns))  # (rows, columns, grid, grid, c)
        parts = parts.transpose(1, 2).flatten(0, 1).flatten(1, 2)  # (rows grid, columns grid, c)
        return torch.cat([self._lines(parts), self.divider[None], self._lines(whole)])

    def _lines(self, image: Tensor) -> Tensor:
        ends = self.row_end.expand(len(image), 1, -1)  # (y, 1, c)
        return torch.cat([image, ends], dim=1).flatten(0, 1)  # (y (x + 1), c)


class Phi3VisionNetwork(nn.Module):
    """Decoder and image embedding: ids to logits; placeholder ids stand for image tokens.

    Parameters
    ----------
    config
        Sizes.
    placeholder
        The id that stands for one image token, ``<|image|>`` in the published vocabulary.
    """

    def __init__(self, config: Phi3VisionConfig, placeholder: int) -> None:
        super().__init__()
        self.config, self.placeholder = config, placeholder
        self.images = ImageEmbedding(config)
        self.decoder = Phi3Model(config.language)
        self.head = nn.Linear(config.language.hidden_size, config.language.vocab_size, bias=False)
        nn.init.normal_(self.head.weight, std=config.language.initializer_range)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are."""
        return self.head.weight.dtype

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_sizes: Tensor | None = None,
        *,
        image_tokens: Tensor | None = None,
        cache: DynamicCache | None = None,
        logits_to_keep: int = 0,
    ) -> CausalLMOutputWithPast:
        """Continue ``cache`` (or start) with ``input_ids``.

        Parameters
        ----------
        input_ids
            (batch, tokens); left-padded where rows differ.
        attention_mask
            (batch, cached + tokens), 0 at padding; None where nothing is padded.
        pixel_values, image_sizes
            Crops of all images, in the order of their placeholders.
        image_tokens
            (placeholders, hidden), in place of both, from an earlier ``network.images(...)``.
        cache
            Keys and values so far; this call appends to it.
        logits_to_keep
            Only the last so many positions' logits; 0 for all.
        """
        if image_tokens is None and pixel_values is not None and image_sizes is not None:
            image_tokens = self.images(pixel_values, image_sizes)
        hidden = self.decoder(
            inputs_embeds=self.embed(input_ids, image_tokens),  # (batch, tokens, hidden)
            attention_mask=attention_mask,
            position_ids=_positions(attention_mask, input_ids.shape[1]),
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        logits = self.head(hidden[:, -logits_to_keep:])  # (batch, kept, vocabulary)
        return CausalLMOutputWithPast(logits=logits, past_key_values=cache)

    def embed(self, input_ids: Tensor, image_tokens: Tensor | None = None) -> Tensor:
        """Words from the table, placeholders from the images: (batch, tokens, hidden)."""
        words = self.decoder.embed_tokens(input_ids)
        if image_tokens is None:
            return words
        places = (input_ids == self.placeholder)[..., None]  # (batch, tokens, 1)
        return words.masked_scatter(places, image_tokens.to(words.dtype))

    def restore_buffers(self) -> None:
        """Compute what no checkpoint holds; needed once after building on the meta device."""
        self.decoder.rotary_emb = Phi3RotaryEmbedding(self.config.language)
        places = (2 * self.config.grid) ** 2 + 1  # patches, and the class token
        self.images.tower.embeddings.register_buffer("position_ids", torch.arange(places)[None], persistent=False)


def _tower(config: CLIPVisionConfig) -> CLIPVisionModel:
    # the published code reads the output of the last layer but one: the last one and
    # the norm after it are never needed
    sizes = config.to_dict() | {"num_hidden_layers": config.num_hidden_layers - 1}
    tower = CLIPVisionModel(CLIPVisionConfig.from_dict(sizes, attn_implementation="sdpa"))
    tower.add_module("post_layernorm", nn.Identity())
    return tower


def _positions(attention_mask: Tensor | None, tokens: int) -> Tensor | None:
    if attention_mask is None:
        return None
    return (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, -tokens:]  # (batch, tokens)
