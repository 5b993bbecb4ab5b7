"""Result of a reranking, and every call of the vision LLM that led to it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from time import perf_counter

import PIL.Image

from mmrag.images.encode import img_tag
from mmrag.ranking import Ranking

__all__ = ["LLMCall", "RerankResult", "measure"]


@dataclass(frozen=True)
class LLMCall:
    """One answered call of the vision LLM; ``labels[0]`` is the candidate in cell 1, ``ranking`` is one of cells."""

    labels: tuple[int, ...]
    composite: PIL.Image.Image = field(repr=False)
    prompt: str
    ranking: Ranking

    @property
    def order(self) -> list[int]:
        """Candidates, best first."""
        return [self.labels[cell - 1] for cell in self.ranking.order]


@dataclass(frozen=True)
class RerankResult:
    """Ranking of candidates 1..n, none lost.

    Attributes
    ----------
    ranking : Ranking
        Of all candidates. It has scores only if all were scored on one scale: scores of several windows do not compare.
    top : tuple of int
        The first ``top_n`` labels of the ranking.
    calls : tuple of LLMCall
        The answered calls of the vision LLM; the last one ranked the front of the list. Empty for other models.
    caption : str
        The vision LLM's caption of the query image; empty without one.
    missing : mapping of int to str
        Why a candidate's image could not be loaded, by label.
    failures : tuple of str
        One message per call of the model that failed.
    timings_ms : mapping of str to float
        Milliseconds by stage, for instance load, compose, caption, rank, total.
    judged : bool, default True
        False if the model judged no candidate, so that all keep retrieval order.
    """

    ranking: Ranking
    top: tuple[int, ...]
    calls: tuple[LLMCall, ...] = ()
    caption: str = ""
    missing: Mapping[int, str] = field(default_factory=dict[int, str])
    failures: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    judged: bool = True

    @property
    def composite(self) -> PIL.Image.Image | None:
        """Composite image of the last call, if any."""
        return self.calls[-1].composite if self.calls else None

    @property
    def prompt(self) -> str:
        """Prompt of the last call."""
        return self.calls[-1].prompt if self.calls else ""

    def _repr_html_(self) -> str:
        order, repairs = ", ".join(map(str, self.ranking.order)), "; ".join(self.ranking.repairs)
        facts = {"Candidates, best first": order, "because": self.ranking.reason, "repaired": repairs}
        lines = [f"{name}: <b>{escape(text)}</b>" for name, text in facts.items() if text]
        return f"<p>{'<br>'.join(lines)}</p>{''.join(map(_call_html, self.calls))}"


@contextmanager
def measure(timings_ms: dict[str, float], stage: str) -> Generator[None]:
    """Add the milliseconds that the block takes to those of its stage."""
    start = perf_counter()
    try:
        yield
    finally:
        timings_ms[stage] = timings_ms.get(stage, 0.0) + (perf_counter() - start) * 1000


def _call_html(call: LLMCall) -> str:
    details = "".join(
        f'<details><summary>{name}</summary><pre style="white-space: pre-wrap">{escape(text)}</pre></details>'
        for name, text in (("prompt", call.prompt), ("answer", call.ranking.answer))
        if text
    )
    image, order = img_tag(call.composite, "composite given to the vision LLM"), ", ".join(map(str, call.ranking.order))
    return f"{image}<p>Cells, best first: <b>{order}</b></p>{details}"
