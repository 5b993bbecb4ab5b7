"""Pictures that were read before. In: a picture's key. Out: keys and values to go on from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from torch import Tensor
from transformers.cache_utils import DynamicCache

__all__ = ["Prefixes"]

_Layers = list[tuple[Tensor, Tensor]]


class Prefixes:
    """The last few prompt beginnings, picture included; safe for concurrent callers.

    Parameters
    ----------
    most
        Beginnings to keep. One of Phi-3 Vision with a 16-crop picture holds about 1 GB in half
        precision, hence few.
    """

    def __init__(self, most: int = 2) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[Hashable, _Layers] = OrderedDict()

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
        """Keep what ``cache`` holds now; the oldest beginning makes room."""
        # a growing cache makes new tensors and leaves these alone: (1, heads, tokens, head_dim)
        layers: _Layers = [(layer.keys, layer.values) for layer in cache.layers]
        with self._lock:
            self._kept[key] = layers
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
