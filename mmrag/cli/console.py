"""Where words go: results to stdout, progress and errors to stderr, so that pipes stay clean."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment

__all__ = ["messages", "results", "stage", "write_json"]


def results() -> Console:
    """Make the console of what was asked for: stdout."""
    return _quiet(Console(highlight=False, markup=False))


def messages() -> Console:
    """Make the console of everything else: stderr."""
    return _quiet(Console(stderr=True, highlight=False, markup=False))


def write_json(answer: Any) -> None:
    """Write an answer for machines: one JSON document on stdout, never wrapped or colored."""
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


def _quiet(console: Console) -> Console:
    console.push_render_hook(_NoControls())
    return console


class _NoControls(RenderHook):
    """Names and titles come from strangers: what would speak to the terminal is shown as �."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(renderable) for renderable in renderables]


class _Printable:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.renderable, options):
            if segment.control:  # our own, as a progress bar's
                yield segment
            else:
                letters = (c if c.isprintable() or c in "\n\t" else "�" for c in segment.text)
                yield segment._replace(text="".join(letters))
