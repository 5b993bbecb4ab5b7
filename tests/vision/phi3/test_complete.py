"""A ranking is complete by construction, for every method and number of candidates, whatever the network prefers."""

from __future__ import annotations

import json

import PIL.Image
import pytest
import torch
from run_profile import scaled

from mmrag.vision import RankingConfig
from mmrag.vision.phi3.ranking_template import RankingTemplate
from mmrag.vision.phi3.template import ConstrainedDecoder, fill_template

SEEDS = range(scaled(fast=1, full=10))
SIZES = range(1, 21)
STATES = 1021
METHODS = ("permutation", "grades", "first")


class TableDecoder:
    """The smallest network with a memory: a random row of logits for each state."""

    def __init__(self, table, start):
        self.table, self.states = table, [start]

    def step(self, ids):
        for token_id in ids:
            self.states.append((self.states[-1] * 31 + token_id + 1) % STATES)
        return self.table[self.states[-1]]

    def rollback(self, num_tokens):
        del self.states[-num_tokens:]


def random_table(tokenizer, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(STATES, tokenizer.backend.get_vocab_size(), generator=generator)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_logits_give_a_complete_ranking_of_every_size(seed, method, small):
    tokenizer = small.processor.tokenizer
    table = random_table(tokenizer, seed) * 3
    for n in SIZES:
        ranking_template = RankingTemplate(n, RankingConfig(method, max_reason_tokens=2))
        template = ranking_template.build()
        for start in range(scaled(fast=5, full=200)):
            filled = fill_template(template, ConstrainedDecoder(TableDecoder(table, start), tokenizer), tokenizer)
            ranking = ranking_template.ranking(filled)
            assert sorted(ranking.order) == list(range(1, n + 1))
            assert ranking.repairs == []
            json.loads(ranking.answer)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_weights_give_a_complete_ranking_of_every_size(seed, method, small):
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
def test_different_logits_give_different_rankings(method, small):
    """The rankings above are not all the same one."""
    tokenizer = small.processor.tokenizer
    table = random_table(tokenizer, 0)
    ranking_template = RankingTemplate(9, RankingConfig(method, max_reason_tokens=1))
    template = ranking_template.build()
    decoders = [ConstrainedDecoder(TableDecoder(table, start), tokenizer) for start in range(50)]
    orders = {tuple(ranking_template.ranking(fill_template(template, d, tokenizer)).order) for d in decoders}
    assert len(orders) >= 45
