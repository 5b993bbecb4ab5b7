"""Where words go: results to stdout, progress and errors to stderr, so that pipes stay clean."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["messages", "results", "stage", "write_json"]


def results() -> Console:
    """Make the console of what was asked for: stdout."""
    return Console(highlight=False, markup=False)


def messages() -> Console:
    """Make the console of everything else: stderr."""
    return Console(stderr=True, highlight=False, markup=False)


def write_json(answer: Any) -> None:
    """Write an answer for machines: one JSON document on stdout, never wrapped or coloured."""
    text = json.dumps(answer, indent=2, ensure_ascii=False, default=str)
    results().out(text, highlight=False)


@contextmanager
def stage(name: str) -> Generator[Callable[[int, int], None]]:
    """Show a bar on stderr while the block runs, where somebody sees it; it leaves no trace.

    Yields
    ------
    Callable
        To be called with how much is done, and of how much.
    """
    console = messages()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
