"""A prompt being continued. In: ids. Out: the next token's logits, and greedy continuations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from threading import Lock
from typing import Protocol, cast

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mmrag.vision.phi3.modeling import Phi3VisionNetwork
from mmrag.vision.phi3.prefix_cache import rewind
from mmrag.vision.phi3.processing import PixelInputs

__all__ = ["NetworkReader", "Reader", "continuation"]


class Reader(Protocol):
    """Whatever reads ids one after the other and says what it expects next."""

    def read(self, ids: Sequence[int]) -> Tensor:
        """Read on, and return the logits of the next token: (vocabulary,), float32, on the CPU."""
        ...

    def rewind(self, tokens: int) -> None:
        """Forget the last so many tokens."""
        ...


class NetworkReader:
    """Phi-3 Vision reading one conversation, with its own keys and values.

    Parameters
    ----------
    network
        Shared by all readers.
    lock
        Of the network. It is held for a forward pass and no longer, so that a slow consumer of
        one conversation keeps nobody else waiting.
    prompt
        Read together with the first ids that `read` is given, in one pass.
    images
        Of the prompt.
    cache
        Keys and values of what stands before the prompt; this reader appends to it.
    """

    def __init__(
        self,
        network: Phi3VisionNetwork,
        lock: Lock,
        prompt: Sequence[int],
        images: PixelInputs | None = None,
        *,
        cache: DynamicCache | None = None,
    ) -> None:
        self.network = network
        self.cache = DynamicCache() if cache is None else cache
        self._lock, self._prompt, self._images = lock, list(prompt), images

    def read(self, ids: Sequence[int]) -> Tensor:
        """Read on, and return the logits of the next token: (vocabulary,), float32, on the CPU."""
        device = self.network.device
        unread = torch.tensor([[*self._prompt, *ids]], device=device)  # (1, tokens)
        given = cast("dict[str, Tensor]", self._images or {})
        images = {name: tensor.to(device) for name, tensor in given.items()}
        with self._lock, torch.inference_mode():
            output = self.network(unread, cache=self.cache, logits_to_keep=1, **images)
        self._prompt, self._images = [], None
        return output.logits[0, -1].float().cpu()

    def rewind(self, tokens: int) -> None:
        """Forget the last so many tokens."""
        rewind(self.cache, tokens)


def continuation(reader: Reader, ends: Collection[int], max_new_tokens: int) -> Iterator[int]:
    """Yield the most likely ids behind what ``reader`` has read, until one of ``ends``."""
    unread: list[int] = []
    for _ in range(max_new_tokens):
        token = int(reader.read(unread).argmax())
        if token in ends:
            return
        yield token
        unread = [token]
