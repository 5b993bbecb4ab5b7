"""Sorts work into batches and prepares it ahead of the network: requests in, ready batches out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from mmrag.images import ImageSource

__all__ = ["Request", "batches", "merged", "padded", "prefetched"]

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Request:
    """One item on its way to the network.

    Attributes
    ----------
    ids
        Its token ids, special ones included.
    image
        Its image, not read yet; None for a text alone.
    places
        Where it stands among the caller's items.
    """

    ids: tuple[int, ...]
    image: ImageSource | None
    places: tuple[int, ...]


def merged(requests: Iterable[Request]) -> list[Request]:
    """Join requests for the same thing, so that it is encoded once and has one vector.

    Examples
    --------
    >>> twice = [Request((1, 2), None, (0,)), Request((1, 2), None, (1,))]
    >>> merged(twice)
    [Request(ids=(1, 2), image=None, places=(0, 1))]
    """
    found: dict[tuple[object, ...], Request] = {}
    for request in requests:
        key = request.ids, _identity(request.image)
        places = found[key].places if key in found else ()
        found[key] = replace(request, places=places + request.places)
    return list(found.values())


def batches(requests: Iterable[Request], size: int) -> list[list[Request]]:
    """Part requests by kind and sort them by length, so that little is spent on pads.

    Examples
    --------
    >>> long, short = Request((1, 2, 3, 4), None, (0,)), Request((1, 2), None, (1,))
    >>> imaged = Request((1, 2), b"...", (2,))
    >>> [[request.places for request in batch] for batch in batches([long, imaged, short], 32)]
    [[(1,), (0,)], [(2,)]]
    """
    texts: list[Request] = []
    imaged: list[Request] = []
    for request in requests:
        (texts if request.image is None else imaged).append(request)
    return [
        kind[start : start + size]
        for kind in (_by_length(texts), _by_length(imaged))
        for start in range(0, len(kind), size)
    ]


def padded(batch: Sequence[Request], pad: int) -> tuple[Tensor, Tensor]:
    """Lay token ids side by side, padded on the right: ids and mask, ``(batch, length)`` each.

    Examples
    --------
    >>> ids, mask = padded([Request((5, 6, 7), None, (0,)), Request((8,), None, (1,))], pad=0)
    >>> ids.tolist(), mask.tolist()
    ([[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    """
    length = max(len(request.ids) for request in batch)
    ids = [[*request.ids, *[pad] * (length - len(request.ids))] for request in batch]
    mask = [[1] * len(request.ids) + [0] * (length - len(request.ids)) for request in batch]
    return torch.tensor(ids), torch.tensor(mask)


def prefetched(
    make: Callable[[Given], Made], things: Iterable[Given], *, ahead: int, threads: int
) -> Generator[Made, None, None]:
    """Make things in background threads, in order, at most ``ahead`` of whoever takes them.

    Examples
    --------
    >>> list(prefetched(str.upper, "abc", ahead=2, threads=2))
    ['A', 'B', 'C']
    """
    pending: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="mmrag-prefetch") as pool:
        try:
            for thing in things:
                pending.append(pool.submit(make, thing))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _identity(image: ImageSource | None) -> object:
    if image is None or isinstance(image, (str, bytes, os.PathLike)):
        return image
    return id(image)


def _by_length(requests: list[Request]) -> list[Request]:
    return sorted(requests, key=lambda request: len(request.ids))
