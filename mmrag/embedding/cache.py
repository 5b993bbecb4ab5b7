"""Remembers the tokens of the images seen last: an image's key in, its tokens out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock

from torch import Tensor

__all__ = ["TokenCache"]


class TokenCache:
    """A bounded memory of image tokens that several threads may share; the oldest goes first.

    Parameters
    ----------
    capacity
        Most images remembered; 0 remembers none.

    Examples
    --------
    >>> import torch
    >>> cache = TokenCache(capacity=1)
    >>> cache.keep(["leopard", "zebra"], [torch.zeros(1), torch.ones(1)])
    >>> cache.find(["zebra"]), cache.find(["leopard"])
    ([tensor([1.])], None)
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tokens: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = Lock()

    def find(self, keys: Sequence[str]) -> list[Tensor] | None:
        """Give the tokens of all images, or None when one of them is not remembered.

        A batch is found whole or computed whole, because the last bits of a vector depend on the
        company it is computed in, and the same call should give the same bits.
        """
        with self._lock:
            if any(key not in self._tokens for key in keys):
                return None
            for key in keys:
                self._tokens.move_to_end(key)
            return [self._tokens[key] for key in keys]

    def keep(self, keys: Iterable[str], tokens: Iterable[Tensor]) -> None:
        """Remember images, and forget those not asked for longest."""
        with self._lock:
            for key, token in zip(keys, tokens, strict=True):
                self._tokens[key] = token.clone()  # a slice would keep its whole batch alive
                self._tokens.move_to_end(key)
            while len(self._tokens) > self._capacity:
                self._tokens.popitem(last=False)
