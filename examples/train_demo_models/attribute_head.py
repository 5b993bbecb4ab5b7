"""A classification head for the attributes of an image, by token and by image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["AttributeHead"]


class AttributeHead(nn.Module):
    """A head that names several attributes from every token, and from all of an image's together.

    Parameters
    ----------
    width
        Of a token.
    names
        How many names each attribute has.
    weights
        How much each attribute counts.
    """

    def __init__(self, width: int, names: Sequence[int], weights: Sequence[float]) -> None:
        super().__init__()
        self.names, self.weights = list(names), list(weights)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sum(names))

    def forward(self, tokens: Tensor) -> Tensor:
        """Name tokens: (…, width) -> (…, names)."""
        return self.head(self.norm(tokens)).float()

    def guesses(self, tokens: Tensor) -> Tensor:
        """Name images: (batch, tokens, width) -> (batch, attributes)."""
        return self._best(self(tokens).mean(1))

    def loss(self, tokens: Tensor, labels: Tensor) -> tuple[Tensor, list[float]]:
        """Tell how wrong the names are, and the share of images named right, by attribute.

        Parameters
        ----------
        tokens
            ``(batch, tokens, width)``.
        labels
            ``(batch, attributes)``.
        """
        named = self(tokens)
        each = named.flatten(0, 1)  # (batch * tokens, names)
        loss = self._wrong(named.mean(1), labels) + 0.5 * self._wrong(each, labels.repeat_interleave(named.shape[1], 0))
        right = (self._best(named.mean(1)) == labels).float().mean(0)
        return loss, right.tolist()

    def _best(self, named: Tensor) -> Tensor:
        return torch.stack([part.argmax(-1) for part in named.split(self.names, -1)], -1)

    def _wrong(self, named: Tensor, labels: Tensor) -> Tensor:
        parts = zip(named.split(self.names, 1), labels.T, self.weights, strict=True)
        losses = [weight * F.cross_entropy(part, label) for part, label, weight in parts]
        return torch.stack(losses).sum()
