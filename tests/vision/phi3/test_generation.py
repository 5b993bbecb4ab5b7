"""Greedy decoding, and the key-value cache of a decoder."""

from __future__ import annotations

import pytest
import torch

from mmrag.vision.phi3.generation import CachedDecoder, greedy_decode


class TokenDecoder:
    """Predicts the given tokens, and keeps the ids it reads."""

    def __init__(self, *tokens):
        self.tokens, self.steps = list(tokens), []

    def step(self, ids):
        self.steps.append(list(ids))
        return torch.nn.functional.one_hot(torch.tensor(self.tokens.pop(0)), 10).float()

    def rollback(self, num_tokens):
        raise AssertionError("greedy decoding never rolls back")


def test_greedy_decoding_reads_each_token_once():
    decoder = TokenDecoder(3, 1, 4, 9)
    assert list(greedy_decode(decoder, {9}, 8)) == [3, 1, 4]
    assert decoder.steps == [[], [3], [1], [4]]


def test_max_new_tokens_costs_no_extra_pass():
    decoder = TokenDecoder(3, 1, 4)
    assert list(greedy_decode(decoder, {9}, 2)) == [3, 1]
    assert len(decoder.steps) == 2


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_reading_in_parts_gives_the_same_logits(small, cut):
    ids = [11, 12, 13, 14, 15]
    whole = CachedDecoder(small.network, small._lock, ids).step([])
    decoder = CachedDecoder(small.network, small._lock, ids[:cut])
    decoder.step([])
    torch.testing.assert_close(decoder.step(ids[cut:]), whole, atol=1e-5, rtol=0)


def test_rollback_restores_the_state_before(small):
    decoder = CachedDecoder(small.network, small._lock, [11, 12])
    decoder.step([])
    expected = decoder.step([13])
    decoder.rollback(1)
    decoder.step([99, 98])
    decoder.rollback(2)
    torch.testing.assert_close(decoder.step([13]), expected, atol=1e-6, rtol=0)
