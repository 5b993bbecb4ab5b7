"""Batching keeps every request; prefetching keeps the order; the token cache evicts the least recently used image."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrag.embedding.batching import EncodeRequest, TokenCache, deduplicate, make_batches, pad_batch, prefetch

token_ids = st.lists(st.integers(1, 50), min_size=1, max_size=6).map(tuple)
images = st.none() | st.sampled_from(["a.jpg", "b.jpg"])
pairs = st.lists(st.tuples(token_ids, images), max_size=30)


def requests_of(pairs):
    return [EncodeRequest(ids, image, (position,)) for position, (ids, image) in enumerate(pairs)]


@given(pairs=pairs, size=st.integers(1, 10))
def test_every_position_is_in_one_batch_of_one_kind(pairs, size):
    parts = make_batches(deduplicate(requests_of(pairs)), size)
    positions = [position for batch in parts for request in batch for position in request.positions]
    assert sorted(positions) == list(range(len(pairs)))
    for batch in parts:
        assert 1 <= len(batch) <= size
        assert len({request.image is None for request in batch}) == 1


@given(pairs=pairs)
def test_deduplicate_merges_equal_requests_only(pairs):
    merged = deduplicate(requests_of(pairs))
    assert len(merged) == len(set(pairs))
    for request in merged:
        assert {pairs[position] for position in request.positions} == {(request.token_ids, request.image)}


def test_deduplicate_compares_image_objects_by_identity():
    one, other = bytearray(b"x"), bytearray(b"x")
    merged = deduplicate(requests_of([((1,), one), ((1,), other), ((1,), one)]))
    assert [request.positions for request in merged] == [(0, 2), (1,)]


@given(pairs=pairs, size=st.integers(1, 10))
def test_batches_are_sorted_by_length(pairs, size):
    texts = [EncodeRequest(ids, None, (position,)) for position, (ids, _) in enumerate(pairs)]
    lengths = [len(request.token_ids) for batch in make_batches(texts, size) for request in batch]
    assert lengths == sorted(lengths)


@given(pairs=pairs.filter(bool))
def test_the_attention_mask_covers_the_tokens_and_no_padding(pairs):
    batch = requests_of(pairs)
    ids, mask = pad_batch(batch, pad_id=0)
    assert [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)] == [
        list(request.token_ids) for request in batch
    ]
    assert (ids[mask == 0] == 0).all()
    assert (mask.diff(dim=1) <= 0).all()  # pads are on the right


@given(inputs=st.lists(st.integers(), max_size=30), ahead=st.integers(0, 5))
def test_prefetch_keeps_the_order(inputs, ahead):
    assert list(prefetch(str, inputs, ahead=ahead, threads=3)) == [str(t) for t in inputs]


def test_prefetch_works_in_the_background_but_not_far_ahead():
    made = []
    with closing(prefetch(made.append, range(100), ahead=4, threads=1)) as inputs:
        next(inputs)
        assert threading.active_count() > 1
    assert 1 <= len(made) <= 6


def test_prefetch_raises_an_error_at_its_position():
    def reciprocal(number):
        return 1 / number

    inputs = prefetch(reciprocal, [1, 2, 0, 4], ahead=4, threads=2)
    assert [next(inputs), next(inputs)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(inputs)


keys = st.sampled_from("abcdef")


@given(capacity=st.integers(0, 4), requested=st.lists(keys, max_size=40))
def test_the_token_cache_evicts_the_least_recently_used_image(capacity, requested):
    cache, recent = TokenCache(capacity), list[str]()
    for key in requested:
        found = cache.get([key])
        assert (found is not None) == (key in recent)
        if found is None:
            cache.put([key], [torch.tensor(ord(key))])
        else:
            assert found[0].item() == ord(key)
        recent = [*(other for other in recent if other != key), key][-capacity:] if capacity else []


def test_the_token_cache_returns_a_whole_batch_or_none():
    cache = TokenCache(2)
    cache.put("ab", [torch.tensor(1), torch.tensor(2)])
    assert cache.get("ba") == [torch.tensor(2), torch.tensor(1)]
    assert cache.get("ac") is None


def test_the_token_cache_does_not_keep_the_whole_batch_in_memory():
    batch, cache = torch.zeros(100, 8), TokenCache(1)
    cache.put(["a"], [batch[3]])
    (kept,) = cache.get(["a"]) or []
    assert kept.untyped_storage().nbytes() == 8 * 4
