"""Where words go: results to stdout, progress and errors to stderr, so that pipes stay clean."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["messages", "progress", "results", "write_json"]


def results() -> Console:
    """Make the console of what was asked for: stdout."""
    return Console(highlight=False)


def messages() -> Console:
    """Make the console of everything else: stderr."""
    return Console(stderr=True, highlight=False)


def write_json(answer: Any) -> None:
    """Write an answer for machines: one JSON document on stdout, never wrapped or coloured."""
    text = json.dumps(answer, indent=2, ensure_ascii=False, default=str)
    results().out(text, highlight=False)


def progress() -> Progress:
    """Make a progress bar on stderr that leaves no trace when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages(),
        transient=True,
    )
