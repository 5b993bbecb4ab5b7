"""An interrupted training stage resumes and ends like an uninterrupted one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from examples.train_demo_models.training_loop import Stage, fit

STAGE = Stage("toy", steps=12, warmup=3)


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


def loss_of(network, stop_at=None):
    def loss_at(step):
        if step == stop_at:
            raise KeyboardInterrupt
        batch = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        return ((network(batch) - batch[:, :2]) ** 2).mean(), {}

    return loss_at


def test_training_lowers_the_loss(tmp_path):
    network = small_network()
    before, _ = loss_of(network)(99)
    fit(Stage("longer", steps=80, rate=0.02), network, loss_of(network), tmp_path)
    after, _ = loss_of(network)(99)
    assert after < 0.5 * before


def test_a_resumed_stage_ends_like_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr("examples.train_demo_models.training_loop._SAVE_EVERY", 0.0)
    straight, broken, resumed = small_network(), small_network(), small_network()
    fit(STAGE, straight, loss_of(straight), tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        fit(STAGE, broken, loss_of(broken, stop_at=7), tmp_path / "b")
    fit(STAGE, resumed, loss_of(resumed), tmp_path / "b")
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_finished_stage_is_loaded_and_not_trained_again(tmp_path):
    network, again = small_network(), small_network()
    fit(STAGE, network, loss_of(network), tmp_path)
    fit(STAGE, again, loss_of(again, stop_at=0), tmp_path)
    assert torch.equal(network[0].weight, again[0].weight)
