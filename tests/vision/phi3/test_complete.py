"""No random weights, no method and no number of candidates ever lose or double a candidate."""

from __future__ import annotations

import json

import PIL.Image
import pytest
import torch

from mmrag.vision.phi3.constrained_decoding import SlotFiller
from mmrag.vision.phi3.ranking_template import answer_script, read_ranking
from mmrag.vision.phi3.template import perform

SEEDS = range(10)
SIZES = range(1, 21)
STATES = 1021
METHODS = ("permutation", "grades", "first")


class TableReader:
    """The smallest network that remembers: a random row of weights for each state it can be in."""

    def __init__(self, table, start):
        self.table, self.states = table, [start]

    def read(self, ids):
        for token in ids:
            self.states.append((self.states[-1] * 31 + token + 1) % STATES)
        return self.table[self.states[-1]]

    def rewind(self, tokens):
        del self.states[-tokens:]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", SEEDS)
def test_two_hundred_random_rankings_of_every_size_are_complete(seed, method, small):
    vocabulary = small.processor.vocabulary
    vocabulary_size = vocabulary.tokenizer.get_vocab_size()
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(STATES, vocabulary_size, generator=generator) * 3
    for n in SIZES:
        script = answer_script(n, method, reason_tokens=2)
        for start in range(200):
            filler = SlotFiller(TableReader(table, start), vocabulary)
            answer = perform(script, filler, vocabulary)
            ranking = read_ranking(answer, n, method)
            assert sorted(ranking.order) == list(range(1, n + 1))
            assert ranking.repairs == []
            json.loads(ranking.answer)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_real_network_with_random_weights_ranks_completely(seed, method, small):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for weights in small.network.parameters():
            torch.nn.init.normal_(weights, std=0.3)
    for n in SIZES:
        image = PIL.Image.new("RGB", (60, 60), (10 * n, 20 * seed, 99))
        ranking = small.rank("Which fits?", image, n, method=method, describe=n % 2 == 0)
        assert sorted(ranking.order) == list(range(1, n + 1))
        assert ranking.repairs == []
        assert len(ranking.scores) == n
        json.loads(ranking.answer)


@pytest.mark.parametrize("method", METHODS)
def test_random_rankings_differ(method, small):
    """The rankings above are not all the same one."""
    vocabulary = small.processor.vocabulary
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(STATES, vocabulary.tokenizer.get_vocab_size(), generator=generator)
    script = answer_script(9, method, reason_tokens=1)
    answers = [perform(script, SlotFiller(TableReader(table, start), vocabulary), vocabulary) for start in range(50)]
    assert len({tuple(read_ranking(answer, 9, method).order) for answer in answers}) >= 45
