"""Greedy, one token a pass, until the turn ends or the allowance is used up."""

from __future__ import annotations

import pytest
import torch

from mmrag.vision.phi3.generation import NetworkReader, continuation


class Prophet:
    """Expects the given tokens, and keeps what it was told."""

    def __init__(self, *tokens):
        self.tokens, self.told = list(tokens), []

    def read(self, ids):
        self.told.append(list(ids))
        return torch.nn.functional.one_hot(torch.tensor(self.tokens.pop(0)), 10).float()

    def rewind(self, tokens):
        raise AssertionError("greedy reading never goes back")


def test_each_token_is_told_once():
    reader = Prophet(3, 1, 4, 9)
    assert list(continuation(reader, {9}, 8)) == [3, 1, 4]
    assert reader.told == [[], [3], [1], [4]]


def test_an_allowance_costs_no_pass_more_than_its_tokens():
    reader = Prophet(3, 1, 4)
    assert list(continuation(reader, {9}, 2)) == [3, 1]
    assert len(reader.told) == 2


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_pieces_are_read_as_the_whole_is(small, cut):
    ids = [11, 12, 13, 14, 15]
    whole = NetworkReader(small.network, small._lock, ids).read([])
    reader = NetworkReader(small.network, small._lock, ids[:cut])
    reader.read([])
    torch.testing.assert_close(reader.read(ids[cut:]), whole, atol=1e-5, rtol=0)


def test_what_is_forgotten_leaves_no_trace(small):
    reader = NetworkReader(small.network, small._lock, [11, 12])
    reader.read([])
    expected = reader.read([13])
    reader.rewind(1)
    reader.read([99, 98])
    reader.rewind(2)
    torch.testing.assert_close(reader.read([13]), expected, atol=1e-6, rtol=0)
