"""Keys and values of what was read. In: transformers' cache. Out: beginnings to go on from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Protocol, cast

from torch import Tensor
from transformers.cache_utils import DynamicCache

__all__ = ["Beginnings", "rewind"]


class _Layer(Protocol):
    keys: Tensor  # (1, heads, tokens, head_dim)
    values: Tensor  # (1, heads, tokens, head_dim)


def rewind(cache: DynamicCache, tokens: int) -> None:
    """Forget the last ``tokens`` (at least one) that were read."""
    for layer in _layers(cache):
        layer.keys = layer.keys[..., :-tokens, :]
        layer.values = layer.values[..., :-tokens, :]


class Beginnings:
    """The last few beginnings of prompts, images included; safe for concurrent callers.

    Parameters
    ----------
    most
        Beginnings to keep. One of Phi-3 Vision with a 16-crop image holds about 1 GB in half
        precision, hence few.
    """

    def __init__(self, most: int = 2) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[Hashable, list[tuple[Tensor, Tensor]]] = OrderedDict()

    def get(self, key: Hashable) -> DynamicCache | None:
        """Look up a fresh cache to append to; what is kept stays as it is."""
        with self._lock:
            layers = self._kept.get(key)
            if layers is None:
                return None
            self._kept.move_to_end(key)
        cache = DynamicCache()
        for number, (keys, values) in enumerate(layers):
            cache.update(keys, values, number)
        return cache

    def put(self, key: Hashable, cache: DynamicCache) -> None:
        """Keep what ``cache`` holds now; the one not asked for longest makes room."""
        # a cache that grows makes new tensors and leaves these alone
        layers = [(layer.keys, layer.values) for layer in _layers(cache)]
        with self._lock:
            self._kept[key] = layers
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


def _layers(cache: DynamicCache) -> list[_Layer]:
    # no sliding window and no offloading here, so every layer is a plain one
    return cast("list[_Layer]", cache.layers)
