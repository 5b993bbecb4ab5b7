"""A resumable training loop: Muon (Jordan et al. 2024) for matrices, AdamW for the rest, trapezoidal learning rates."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW, Muon, Optimizer

__all__ = ["Stage", "fit", "training_device"]

logger = logging.getLogger(__name__)

_NOT_MATRICES = ("embed", "head", "position", "token_type", "lm_head")
_SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Stage:
    """Length and rates of one stage.

    Attributes
    ----------
    name
        Names the stage in the log and its checkpoint file.
    steps
        How many updates.
    rate, matrix_rate
        Peak learning rates of AdamW and of Muon.
    warmup
        Updates until the peak is reached.
    hold
        Share of the stage after which the rate falls linearly towards zero.
    """

    name: str
    steps: int
    rate: float = 2e-3
    matrix_rate: float = 0.02
    warmup: int = 30
    hold: float = 0.3

    def share(self, step: int) -> float:
        """Share of the peak rate at ``step``.

        Examples
        --------
        >>> stage = Stage("see", steps=100, warmup=10, hold=0.5)
        >>> [round(stage.share(step), 2) for step in (0, 9, 50, 75, 100)]
        [0.1, 1.0, 1.0, 0.5, 0.02]
        """
        rising = min(1.0, (step + 1) / self.warmup)
        done = step / self.steps
        falling = 1.0 if done < self.hold else max(0.02, (1 - done) / (1 - self.hold))
        return rising * falling


def training_device() -> torch.device:
    """Give the GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    stage: Stage,
    network: nn.Module,
    loss_at: Callable[[int], tuple[Tensor, dict[str, float]]],
    folder: Path,
    *,
    parameters: Iterable[tuple[str, nn.Parameter]] | None = None,
) -> None:
    """Train ``network`` in place, going on from ``folder/<stage>.pt`` when it is there.

    Parameters
    ----------
    loss_at
        Takes a step and gives its loss and figures for the log. It draws its batch from the step's
        number alone, so that a resumed run sees what an uninterrupted one sees.
    parameters
        What may change, by name; everything in the network when not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stage.name}.pt"
    named = list(parameters or network.named_parameters())
    learning = {id(parameter) for _, parameter in named}
    for parameter in network.parameters():  # what does not learn costs no backward pass
        parameter.requires_grad_(id(parameter) in learning)
    optimizers = _optimizers(named, stage)
    step = _resume(file, network, optimizers)
    network.train()
    figures: dict[str, float] = {}
    started = saved = time.monotonic()
    first = step
    while step < stage.steps:
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * stage.share(step)
        # The fused attention's backward pass is slow on short sequences on a CPU.
        with sdpa_kernel(SDPBackend.MATH):
            loss, seen = loss_at(step)
            for optimizer, _ in optimizers:
                optimizer.zero_grad()
            loss.backward()
        nn.utils.clip_grad_norm_([parameter for _, parameter in named], 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        step += 1
        for name, value in {"loss": loss.item(), **seen}.items():
            figures[name] = 0.95 * figures.get(name, value) + 0.05 * value
        if step % 50 == 0 or step == stage.steps:
            seconds = time.monotonic() - started
            words = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
            left = seconds / (step - first) * (stage.steps - step)
            logger.info("%s %d/%d, %.0f s left: %s", stage.name, step, stage.steps, left, words)
        if time.monotonic() - saved > _SAVE_EVERY or step == stage.steps:
            saved = time.monotonic()
            _save(file, network, optimizers, step)
    network.eval()


def _optimizers(named: list[tuple[str, nn.Parameter]], stage: Stage) -> list[tuple[Optimizer, float]]:
    matrices = [
        parameter
        for name, parameter in named
        if parameter.ndim == 2 and not any(part in name for part in _NOT_MATRICES)
    ]
    chosen = {id(parameter) for parameter in matrices}
    rest = [parameter for _, parameter in named if id(parameter) not in chosen]
    pairs: list[tuple[Optimizer, float]] = []
    if rest:
        pairs.append((AdamW(rest, weight_decay=0.01, betas=(0.9, 0.98)), stage.rate))
    if matrices:
        muon = Muon(matrices, weight_decay=0.01, momentum=0.95, adjust_lr_fn="original")
        pairs.append((muon, stage.matrix_rate))
    return pairs


def _resume(file: Path, network: nn.Module, optimizers: list[tuple[Optimizer, float]]) -> int:
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    network.load_state_dict(state["network"])
    for (optimizer, _), saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    logger.info("%s goes on at step %d", file.stem, state["step"])
    return int(state["step"])


def _save(file: Path, network: nn.Module, optimizers: list[tuple[Optimizer, float]], step: int) -> None:
    partial = file.with_suffix(".partial")
    torch.save(
        {
            "network": network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer, _ in optimizers],
            "step": step,
        },
        partial,
    )
    partial.replace(file)
