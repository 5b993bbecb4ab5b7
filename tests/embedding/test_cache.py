"""The cache remembers the images asked for last, and never more than it may."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrag.embedding.cache import TokenCache

keys = st.sampled_from("abcdef")


@given(capacity=st.integers(0, 4), asked=st.lists(keys, max_size=40))
def test_the_last_ones_asked_for_are_remembered(capacity, asked):
    cache, recent = TokenCache(capacity), list[str]()
    for key in asked:
        found = cache.find([key])
        assert (found is not None) == (key in recent)
        if found is None:
            cache.keep([key], [torch.tensor(ord(key))])
        else:
            assert found[0].item() == ord(key)
        recent = [*(other for other in recent if other != key), key][-capacity:] if capacity else []


def test_a_batch_is_found_whole_or_not_at_all():
    cache = TokenCache(2)
    cache.keep("ab", [torch.tensor(1), torch.tensor(2)])
    assert cache.find("ba") == [torch.tensor(2), torch.tensor(1)]
    assert cache.find("ac") is None


def test_what_is_kept_does_not_hold_its_batch():
    batch, cache = torch.zeros(100, 8), TokenCache(1)
    cache.keep(["a"], [batch[3]])
    (kept,) = cache.find(["a"]) or []
    assert kept.untyped_storage().nbytes() == 8 * 4
