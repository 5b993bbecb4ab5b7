"""No request is lost or mixed up on its way to the network, however it is sorted and prepared."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrag.embedding.batching import Request, batches, merged, padded, prefetched

token_ids = st.lists(st.integers(1, 50), min_size=1, max_size=6).map(tuple)
images = st.none() | st.sampled_from(["a.jpg", "b.jpg"])
pairs = st.lists(st.tuples(token_ids, images), max_size=30)


def requests_of(pairs):
    return [Request(ids, image, (place,)) for place, (ids, image) in enumerate(pairs)]


@given(pairs=pairs, size=st.integers(1, 10))
def test_every_place_is_in_one_batch_of_one_kind(pairs, size):
    parts = batches(merged(requests_of(pairs)), size)
    places = [place for batch in parts for request in batch for place in request.places]
    assert sorted(places) == list(range(len(pairs)))
    for batch in parts:
        assert 1 <= len(batch) <= size
        assert len({request.image is None for request in batch}) == 1


@given(pairs=pairs)
def test_what_is_merged_is_the_same_thing(pairs):
    joined = merged(requests_of(pairs))
    assert len(joined) == len(set(pairs))
    for request in joined:
        assert {pairs[place] for place in request.places} == {(request.ids, request.image)}


def test_objects_are_the_same_only_if_they_are_one():
    one, other = bytearray(b"x"), bytearray(b"x")
    joined = merged(requests_of([((1,), one), ((1,), other), ((1,), one)]))
    assert [request.places for request in joined] == [(0, 2), (1,)]


@given(pairs=pairs, size=st.integers(1, 10))
def test_neighbors_in_a_batch_are_neighbors_in_length(pairs, size):
    texts = [Request(ids, None, (place,)) for place, (ids, _) in enumerate(pairs)]
    lengths = [len(request.ids) for batch in batches(texts, size) for request in batch]
    assert lengths == sorted(lengths)


@given(pairs=pairs.filter(bool))
def test_a_mask_covers_the_tokens_and_nothing_else(pairs):
    batch = requests_of(pairs)
    ids, mask = padded(batch, pad=0)
    assert [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)] == [
        list(request.ids) for request in batch
    ]
    assert (ids[mask == 0] == 0).all()
    assert (mask.diff(dim=1) <= 0).all()  # pads are on the right


@given(things=st.lists(st.integers(), max_size=30), ahead=st.integers(0, 5))
def test_prefetched_things_come_in_order(things, ahead):
    assert list(prefetched(str, things, ahead=ahead, threads=3)) == [str(t) for t in things]


def test_prefetching_works_in_the_background_but_not_far_ahead():
    made = []
    with closing(prefetched(made.append, range(100), ahead=4, threads=1)) as things:
        next(things)
        assert threading.active_count() > 1
    assert 1 <= len(made) <= 6


def test_an_error_comes_out_where_its_thing_would_have():
    def reciprocal(number):
        return 1 / number

    things = prefetched(reciprocal, [1, 2, 0, 4], ahead=4, threads=2)
    assert [next(things), next(things)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(things)
