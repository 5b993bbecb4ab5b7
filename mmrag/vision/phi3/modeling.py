"""Network of Phi-3 Vision, built from transformers' Phi-3 decoder and CLIP vision tower."""

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
    """Image crops to decoder tokens: vision tower, 2 x 2 merge, separators, projection."""

    def __init__(self, config: Phi3VisionConfig) -> None:
        super().__init__()
        width, hidden = config.vision_config.hidden_size, config.text_config.hidden_size
        self.crop_size, self.tokens_per_side = config.crop_size, config.tokens_per_side
        self.vision_tower = _vision_tower(config.vision_config)
        self.sub_separator = nn.Parameter(torch.zeros(4 * width))
        self.global_separator = nn.Parameter(torch.zeros(4 * width))
        self.projection = nn.Sequential(nn.Linear(4 * width, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, pixel_values: Tensor, image_sizes: Tensor) -> Tensor:
        """Embed all images into one row of tokens.

        ``pixel_values`` is (images, crops, 3, crop_size, crop_size), zero-padded; the padding never reaches the vision
        tower. ``image_sizes`` is (images, 2), height and width of each padded image in pixels.
        """
        shapes = [(height // self.crop_size, width // self.crop_size) for height, width in image_sizes.tolist()]
        real = [crops[: rows * columns + 1] for crops, (rows, columns) in zip(pixel_values, shapes, strict=True)]
        features = self.crop_features(torch.cat(real)).split([len(crops) for crops in real])
        merged = [self.merge_crops(crops, *shape) for crops, shape in zip(features, shapes, strict=True)]
        return self.projection(torch.cat(merged))  # (tokens, hidden)

    def crop_features(self, crops: Tensor) -> Tensor:
        """Encode each crop alone: (crops, 3, crop_size, crop_size) -> (crops, y, x, 4 width)."""
        features = self.vision_tower(pixel_values=crops.to(self.sub_separator.dtype)).last_hidden_state
        features = features[:, 1:]  # (crops, patches, width): without the class token
        side = self.tokens_per_side
        features = features.unflatten(1, (side, 2, side, 2))  # (crops, y, 2, x, 2, width)
        return features.transpose(2, 3).flatten(3)  # (crops, y, x, 4 width)

    def merge_crops(self, features: Tensor, rows: int, columns: int) -> Tensor:
        """Lay out one image, the global view first: (rows columns + 1, y, x, c) -> (tokens, c)."""
        global_view, crops = features[0], features[1:]
        crops = crops.unflatten(0, (rows, columns))  # (rows, columns, y, x, c)
        crops = crops.transpose(1, 2).flatten(0, 1).flatten(1, 2)  # (rows y, columns x, c)
        separator = self.global_separator[None]
        return torch.cat([self._with_row_ends(crops), separator, self._with_row_ends(global_view)])

    def _with_row_ends(self, features: Tensor) -> Tensor:
        ends = self.sub_separator.expand(len(features), 1, -1)  # (y, 1, c)
        return torch.cat([features, ends], dim=1).flatten(0, 1)  # (y (x + 1), c)


class Phi3VisionNetwork(nn.Module):
    """Token ids and images to logits; ``image_token_id`` stands for one image token. Differentiable, without state."""

    def __init__(self, config: Phi3VisionConfig, image_token_id: int) -> None:
        super().__init__()
        self.config, self.image_token_id = config, image_token_id
        self.image_embedding = ImageEmbedding(config)
        self.decoder = Phi3Model(config.text_config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        nn.init.normal_(self.lm_head.weight, std=config.text_config.initializer_range)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.lm_head.weight.device

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
        """Compute logits (batch, kept tokens, vocabulary) of the last ``logits_to_keep`` positions, 0 for all.

        ``input_ids`` is (batch, tokens), left-padded; ``attention_mask`` (batch, cached + tokens), 0 at padding.
        ``image_tokens`` (image tokens, hidden) may replace ``pixel_values`` and ``image_sizes``.
        """
        if image_tokens is None and pixel_values is not None and image_sizes is not None:
            image_tokens = self.image_embedding(pixel_values, image_sizes)
        position_ids = None
        if attention_mask is not None:
            positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
            position_ids = positions[:, -input_ids.shape[1] :]  # (batch, tokens)
        hidden = self.decoder(
            inputs_embeds=self.embed(input_ids, image_tokens),  # (batch, tokens, hidden)
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        logits = self.lm_head(hidden[:, -logits_to_keep:])  # (batch, kept, vocabulary)
        return CausalLMOutputWithPast(logits=logits, past_key_values=cache)

    def embed(self, input_ids: Tensor, image_tokens: Tensor | None = None) -> Tensor:
        """Embed ids, with ``image_tokens`` in place of the image token id: (batch, tokens, hidden)."""
        embeddings = self.decoder.embed_tokens(input_ids)
        if image_tokens is None:
            return embeddings
        is_image = (input_ids == self.image_token_id)[..., None]  # (batch, tokens, 1)
        return embeddings.masked_scatter(is_image, image_tokens.to(embeddings.dtype))

    def init_buffers(self) -> None:
        """Compute the buffers that no checkpoint holds, after building on the meta device."""
        self.decoder.rotary_emb = Phi3RotaryEmbedding(self.config.text_config)
        positions = (2 * self.config.tokens_per_side) ** 2 + 1  # patches and the class token
        embeddings = self.image_embedding.vision_tower.embeddings
        embeddings.register_buffer("position_ids", torch.arange(positions)[None], persistent=False)


def _vision_tower(config: CLIPVisionConfig) -> CLIPVisionModel:
    # the published code reads the output of the last layer but one: the last layer
    # and the norm after it are never needed
    sizes = config.to_dict() | {"num_hidden_layers": config.num_hidden_layers - 1}
    tower = CLIPVisionModel(CLIPVisionConfig.from_dict(sizes, attn_implementation="sdpa"))
    tower.add_module("post_layernorm", nn.Identity())
    return tower
