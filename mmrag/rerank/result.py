"""What a reranking hands back: the order, and all it takes to see how it came about."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from time import perf_counter

import PIL.Image

from mmrag.images.encode import img_tag
from mmrag.ranking import Ranking

__all__ = ["Look", "Reranked", "Stopwatch"]


@dataclass(frozen=True)
class Look:
    """One call of the vision LLM: what it saw, what it was told, what it answered.

    Attributes
    ----------
    labels
        Candidates by cell: ``labels[0]`` stands in the cell numbered 1.
    ranking
        Of the cells, 1 to ``len(labels)``.
    """

    labels: tuple[int, ...]
    composite: PIL.Image.Image = field(repr=False)
    prompt: str
    ranking: Ranking

    @property
    def order(self) -> list[int]:
        """Candidates, best first."""
        return [self.labels[cell - 1] for cell in self.ranking.order]

    @property
    def scores(self) -> dict[int, float]:
        """The model's score of each candidate; empty when it gave none."""
        return dict(zip(self.labels, self.ranking.scores, strict=False))

    @property
    def descriptions(self) -> dict[int, str]:
        """What the model saw in each candidate; empty when it was not asked."""
        return dict(zip(self.labels, self.ranking.descriptions, strict=False))

    def _repr_html_(self) -> str:
        return _shown(self)


@dataclass(frozen=True)
class Reranked:
    """Candidates 1..n in their new order, none lost.

    Attributes
    ----------
    ranking
        Of all candidates; ``repairs`` says what was mended and where retrieval order was kept.
        It has scores when one window held all candidates: those of several do not compare.
    top
        Its first ``top_n`` labels.
    looks
        Every call of the vision LLM that was answered; the last one saw the front of the list.
    caption
        What the vision LLM said of the query's image; empty when it was not asked.
    missing
        Why a candidate's image could not be shown, by label.
    failures
        What went wrong with the vision LLM, in words; empty when nothing did.
    milliseconds
        By stage: load, compose, caption, rank, total.
    """

    ranking: Ranking
    top: tuple[int, ...]
    looks: tuple[Look, ...] = ()
    caption: str = ""
    missing: Mapping[int, str] = field(default_factory=dict[int, str])
    failures: tuple[str, ...] = ()
    milliseconds: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def composite(self) -> PIL.Image.Image | None:
        """The image the vision LLM saw last; None when it was not asked."""
        return self.looks[-1].composite if self.looks else None

    @property
    def prompt(self) -> str:
        """What the vision LLM was told last."""
        return self.looks[-1].prompt if self.looks else ""

    @property
    def answer(self) -> str:
        """What the vision LLM answered last, as it stood."""
        return self.looks[-1].ranking.answer if self.looks else ""

    def _repr_html_(self) -> str:
        order, repairs = ", ".join(map(str, self.ranking.order)), "; ".join(self.ranking.repairs)
        told = {"Candidates, best first": order, "because": self.ranking.reason, "repaired": repairs}
        lines = [f"{name}: <b>{escape(text)}</b>" for name, text in told.items() if text]
        looks = "".join(map(_shown, self.looks))
        return f"<p>{'<br>'.join(lines)}</p>{looks}"


@dataclass(frozen=True)
class Stopwatch:
    """Milliseconds by stage; a stage entered again adds up.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch.stage("load"):
    ...     pass
    >>> list(watch.milliseconds)
    ['load']
    """

    milliseconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Time the block."""
        start = perf_counter()
        try:
            yield
        finally:
            passed = (perf_counter() - start) * 1000
            self.milliseconds[name] = self.milliseconds.get(name, 0.0) + passed


def _shown(look: Look) -> str:
    order = ", ".join(map(str, look.ranking.order))
    return (
        f"{img_tag(look.composite, 'what the vision LLM saw')}"
        f"<p>Cells, best first: <b>{order}</b></p>"
        f"{_folded('prompt', look.prompt)}{_folded('answer', look.ranking.answer)}"
    )


def _folded(name: str, text: str) -> str:
    shown = f'<pre style="white-space: pre-wrap">{escape(text)}</pre>'
    return f"<details><summary>{name}</summary>{shown}</details>" if text else ""
