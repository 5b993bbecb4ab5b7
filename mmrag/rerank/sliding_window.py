"""Sliding windows over a long list (RankGPT, Sun et al. 2023), and merging of several orders of one window."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mmrag.errors import SettingError

__all__ = ["borda_count", "permute_cells", "windows"]


def windows(n: int, window: int, stride: int) -> list[tuple[int, int]]:
    """Split positions 0..n into overlapping spans, the last one first: the best of all moves to the front in one run.

    Examples
    --------
    >>> windows(20, window=9, stride=4)
    [(11, 20), (7, 16), (3, 12), (0, 8)]
    >>> windows(5, window=9, stride=4)
    [(0, 5)]
    """
    if not 1 <= stride <= window:
        raise SettingError(f"a stride of {stride} with windows of {window} leaves gaps: use 1 to {window}")
    ends = range(n, window, -stride)  # of the full windows behind the first one
    first = (0, n - stride * len(ends))
    return [*((end - window, end) for end in ends), *([first] if n else [])]


def borda_count(labels: Sequence[int], orders: Sequence[Sequence[int]]) -> list[int]:
    """Merge several orders of ``labels`` by their mean rank; ties keep the order of ``labels``.

    Examples
    --------
    >>> borda_count([1, 2, 3], [[1, 2, 3], [3, 1, 2]])
    [1, 3, 2]
    >>> borda_count([1, 2, 3], [[3, 2, 1], [1, 2, 3]])
    [1, 2, 3]
    """
    ranks = dict.fromkeys(labels, 0)
    for order in orders:
        for rank, label in enumerate(order):
            ranks[label] += rank
    return sorted(labels, key=ranks.__getitem__)


def permute_cells(labels: Sequence[int], pass_index: int) -> list[int]:
    """Permute the labels of a window: pass 0 as given, 1 reversed, further ones by a fixed shuffle.

    Examples
    --------
    >>> permute_cells([1, 2, 3], 0), permute_cells([1, 2, 3], 1)
    ([1, 2, 3], [3, 2, 1])
    """
    if pass_index < 2:
        return list(labels) if pass_index == 0 else list(reversed(labels))
    return random.Random(pass_index).sample(labels, len(labels))
