"""Decoding with a key-value cache, greedy generation, and the cache of prompt prefixes."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from copy import copy
from threading import Lock
from typing import cast

import torch
from cachetools import LRUCache
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.processing import PixelInputs

__all__ = ["CachedDecoder", "PrefixCache", "greedy_decode"]


class CachedDecoder:
    """Phi-3 Vision decoding one conversation; keys and values are appended to ``cache``, which may hold a prefix.

    ``prompt`` is read in one pass with the ids of the first `step`. ``lock`` is held during a forward pass only, so
    that a slow consumer of one conversation blocks no other.
    """

    def __init__(
        self,
        network: Phi3VisionNetwork,
        lock: Lock,
        prompt: Sequence[int],
        pixel_inputs: PixelInputs | None = None,
        *,
        cache: DynamicCache | None = None,
    ) -> None:
        self.network = network
        self.cache = DynamicCache() if cache is None else cache
        self._lock, self._prompt, self._pixel_inputs = lock, list(prompt), pixel_inputs

    def step(self, ids: Sequence[int]) -> Tensor:
        """Read ``ids`` and return the logits of the next token: (vocabulary,), float32, on the CPU."""
        device = self.network.device
        input_ids = torch.tensor([[*self._prompt, *ids]], device=device)  # (1, tokens)
        tensors = cast("dict[str, Tensor]", self._pixel_inputs or {})
        pixel_inputs = {name: tensor.to(device) for name, tensor in tensors.items()}
        with self._lock, torch.inference_mode():
            output = self.network(input_ids, cache=self.cache, logits_to_keep=1, **pixel_inputs)
        self._prompt, self._pixel_inputs = [], None
        return output.logits[0, -1].float().cpu()

    def rollback(self, num_tokens: int) -> None:
        """Remove the last tokens that were read."""
        self.cache.crop(-num_tokens)


def greedy_decode(decoder: CachedDecoder, stop_token_ids: Collection[int], max_new_tokens: int) -> Iterator[int]:
    """Yield the most likely next ids, until one of ``stop_token_ids`` or ``max_new_tokens``."""
    last: list[int] = []
    for _ in range(max_new_tokens):
        token_id = int(decoder.step(last).argmax())
        if token_id in stop_token_ids:
            return
        yield token_id
        last = [token_id]


class PrefixCache:
    """Least recently used cache of the keys and values of prompt prefixes, images included. Thread-safe."""

    def __init__(self, maxsize: int = 2) -> None:  # a prefix with a 16-crop image takes about 1 GB in half precision
        self._lock = Lock()
        self._prefixes: LRUCache[Hashable, DynamicCache] = LRUCache(maxsize)

    def get(self, key: Hashable) -> DynamicCache | None:
        """Return a cache to append to, or None."""
        with self._lock:
            prefix = self._prefixes.get(key)
        return None if prefix is None else _branch(prefix)

    def put(self, key: Hashable, cache: DynamicCache) -> None:
        """Store what ``cache`` holds now."""
        with self._lock:
            self._prefixes[key] = _branch(cache)


def _branch(cache: DynamicCache) -> DynamicCache:
    # appending to a layer makes new tensors, so the layers can share theirs
    branch = DynamicCache()
    branch.layers = [copy(layer) for layer in cache.layers]
    return branch
