"""The joint encoder of Visualized BGE: token ids and image tokens in, one unit vector out.

Images become tokens of the text model: ``[CLS] image tokens, words [SEP]``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel
from transformers.masking_utils import create_bidirectional_mask

from mmrag.embedding.visualized_bge.modeling import VisionConfig, VisionTower

__all__ = ["JointEncoder", "TextConfig"]

TextConfig = BertConfig | XLMRobertaConfig


class JointEncoder(nn.Module):
    """A text model that also reads images, and the vision tower that shows them to it.

    Parameters
    ----------
    text_config
        Of BERT (the base variant) or XLM-RoBERTa (m3).
    vision_config
        Sizes of the tower.
    """

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
        """Most tokens of a text alone, ``[CLS]`` and ``[SEP]`` included."""
        positions = self.text_config.max_position_embeddings
        if isinstance(self.text_config, XLMRobertaConfig):
            # Text alone counts from padding_idx + 1 in this family.
            return positions - 1 - (self.text_config.pad_token_id or 0)
        return positions

    @property
    def composed_limit(self) -> int:
        """Most tokens of a text beside an image, ``[CLS]`` and ``[SEP]`` included."""
        # Beside an image both families count from 0.
        return self.text_config.max_position_embeddings - self.vision_config.tokens

    def image_tokens(self, pixels: Tensor) -> Tensor:
        """Turn images into tokens of the text model; independent of the words beside them.

        Parameters
        ----------
        pixels
            Normalized, ``(batch, 3, side, side)``.

        Returns
        -------
        Tensor
            ``(batch, N, dim)``.
        """
        embeddings: Any = self.text.embeddings
        seen = self.projection(self.tower(pixels))  # (batch, N, dim)
        places = embeddings.position_embeddings.weight[1 : 1 + seen.shape[1]]  # (N, dim)
        # No word and no token-type embedding, but the text model's own LayerNorm.
        return embeddings.LayerNorm(seen + places)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, image_tokens: Tensor | None = None) -> Tensor:
        """Encode texts, each beside its image when image tokens are given.

        Parameters
        ----------
        input_ids
            ``(batch, length)``, padded on the right.
        attention_mask
            ``(batch, length)``: 1 for a token, 0 for a pad.
        image_tokens
            ``(batch, N, dim)`` as `image_tokens` makes them. An image alone is an image
            beside the empty text.

        Returns
        -------
        Tensor
            ``(batch, dim)``, L2-normalized.
        """
        if image_tokens is None:
            hidden = self.text.embeddings(input_ids)  # (batch, length, dim)
        else:
            hidden, attention_mask = self._compose(input_ids, attention_mask, image_tokens)
        mask = create_bidirectional_mask(config=self.text.config, inputs_embeds=hidden, attention_mask=attention_mask)
        last = self.text.encoder(hidden, attention_mask=mask).last_hidden_state
        # [CLS], in full precision whatever the weights have; the pooler is never used.
        return F.normalize(last[:, 0].float(), dim=-1)

    def _compose(self, input_ids: Tensor, attention_mask: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        batch, n, _ = image_tokens.shape
        # [CLS] keeps place 0, the image has 1..N, words follow: plain numbers in both families.
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)  # (length,)
        positions = positions + n * (positions > 0)
        words = self.text.embeddings(input_ids, position_ids=positions.expand_as(input_ids))
        hidden = torch.cat([words[:, :1], image_tokens, words[:, 1:]], dim=1)
        seen = attention_mask.new_ones(batch, n)
        mask = torch.cat([attention_mask[:, :1], seen, attention_mask[:, 1:]], dim=1)
        return hidden, mask  # (batch, length + N, dim), (batch, length + N)
