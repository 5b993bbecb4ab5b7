"""Long lists in short looks. In: list and window lengths, or several orders. Out: spans, one order.

Sliding windows from the back as in RankGPT (Sun et al. 2023): the best of each window moves on into
the next, so the best of all reaches the front in one run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mmrag.errors import SettingError

__all__ = ["borda", "shuffled", "windows"]


def windows(n: int, window: int, stride: int) -> list[tuple[int, int]]:
    """Cut positions 0..n into spans of ``window``, the last one first, ``stride`` apart.

    Examples
    --------
    >>> windows(20, window=9, stride=4)
    [(11, 20), (7, 16), (3, 12), (0, 8)]
    >>> windows(5, window=9, stride=4)
    [(0, 5)]
    """
    if not 1 <= stride <= window:
        raise SettingError(f"a stride of {stride} with windows of {window} leaves gaps: use 1 to {window}")
    spans: list[tuple[int, int]] = []
    end = n
    while end > 0:
        spans.append((max(0, end - window), end))
        if end <= window:
            break
        end -= stride
    return spans


def borda(labels: Sequence[int], orders: Sequence[Sequence[int]]) -> list[int]:
    """Merge several orders of ``labels``: each label counts its places, the fewest win.

    Equal counts stay as in ``labels``, so looks that contradict each other change nothing.

    Examples
    --------
    >>> borda([1, 2, 3], [[1, 2, 3], [3, 1, 2]])
    [1, 3, 2]
    >>> borda([1, 2, 3], [[3, 2, 1], [1, 2, 3]])
    [1, 2, 3]
    """
    places = dict.fromkeys(labels, 0)
    for order in orders:
        for place, label in enumerate(order):
            places[label] += place
    return sorted(labels, key=lambda label: places[label])


def shuffled(labels: Sequence[int], pass_: int) -> list[int]:
    """Permute the cells for a pass: pass 0 straight, 1 reversed, further ones fixed shuffles.

    Examples
    --------
    >>> shuffled([1, 2, 3], 0), shuffled([1, 2, 3], 1)
    ([1, 2, 3], [3, 2, 1])
    """
    if pass_ < 2:
        return list(labels) if pass_ == 0 else list(reversed(labels))
    return random.Random(pass_).sample(labels, len(labels))
