"""Batches of encode requests, image prefetching and the image token cache."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeVar

import torch
from cachetools import LRUCache
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmrag.images import ImageSource

__all__ = ["EncodeRequest", "TokenCache", "deduplicate", "make_batches", "pad_batch", "prefetch"]

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True)
class EncodeRequest:
    """A distinct item to encode: its text as token ids, and its image, not loaded yet."""

    token_ids: tuple[int, ...]  # special tokens included
    image: ImageSource | None
    positions: tuple[int, ...]  # among the caller's items


def deduplicate(requests: Iterable[EncodeRequest]) -> list[EncodeRequest]:
    """Merge requests for the same text and image, so that each is encoded once."""
    unique: dict[tuple[object, ...], EncodeRequest] = {}
    for request in requests:
        comparable = request.image is None or isinstance(request.image, (str, bytes, os.PathLike))
        key = request.token_ids, request.image if comparable else id(request.image)
        positions = unique[key].positions if key in unique else ()
        unique[key] = replace(request, positions=positions + request.positions)
    return list(unique.values())


def make_batches(requests: Iterable[EncodeRequest], size: int) -> list[list[EncodeRequest]]:
    """Split requests into batches, all with or all without an image, sorted by length to save padding."""
    by_length = sorted(requests, key=lambda request: len(request.token_ids))
    texts = [request for request in by_length if request.image is None]
    images = [request for request in by_length if request.image is not None]
    return [kind[start : start + size] for kind in (texts, images) for start in range(0, len(kind), size)]


def pad_batch(batch: Sequence[EncodeRequest], pad_id: int) -> tuple[Tensor, Tensor]:
    """Stack token ids, padded on the right: ids and attention mask, ``(batch, length)`` each."""
    ids = [torch.tensor(request.token_ids) for request in batch]
    mask = [torch.ones_like(row) for row in ids]
    return pad_sequence(ids, batch_first=True, padding_value=pad_id), pad_sequence(mask, batch_first=True)


def prefetch(
    function: Callable[[Input], Output], inputs: Iterable[Input], *, ahead: int, threads: int
) -> Generator[Output, None, None]:
    """Map a function over inputs in background threads, in order, at most ``ahead`` results early."""
    pending: deque[Future[Output]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="mmrag-prefetch") as pool:
        try:
            for value in inputs:
                pending.append(pool.submit(function, value))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class TokenCache:
    """Least recently used cache of the tokens of up to ``capacity`` images; thread-safe. 0 disables it."""

    def __init__(self, capacity: int) -> None:
        self._tokens: LRUCache[str, Tensor] = LRUCache(capacity)
        self._lock = Lock()

    def get(self, keys: Sequence[str]) -> list[Tensor] | None:
        """Return the tokens of all images, or None if one is missing.

        All or nothing: batch composition changes floating-point rounding, and results must be reproducible.
        """
        with self._lock:
            return [self._tokens[key] for key in keys] if all(key in self._tokens for key in keys) else None

    def put(self, keys: Iterable[str], tokens: Iterable[Tensor]) -> None:
        """Store images, evicting the least recently used ones."""
        with self._lock:
            if self._tokens.maxsize:
                # cloned, as a slice would keep its whole batch in memory
                self._tokens.update((key, token.clone()) for key, token in zip(keys, tokens, strict=True))
