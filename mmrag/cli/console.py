"""Output of the commands: results to stdout, progress and errors to stderr, so that pipes stay clean."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

__all__ = ["print_table", "progress", "stderr_console", "stdout_console", "write_json"]


def stdout_console() -> Console:
    """Open the console of results."""
    return _console(stderr=False)


def stderr_console() -> Console:
    """Open the console of everything else: progress, notes and errors."""
    return _console(stderr=True)


def write_json(document: Any) -> None:
    """Write one JSON document to stdout, never wrapped or colored."""
    stdout_console().out(json.dumps(document, indent=2, ensure_ascii=False, default=str), highlight=False)


def print_table(headings: Sequence[str], rows: Iterable[Iterable[str]], left: Collection[str] = ()) -> None:
    """Print a table to stdout; the first column and those in ``left`` are aligned left, the others right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in (headings[0], *left) else "right")
    for row in rows:
        table.add_row(*row)
    stdout_console().print(table)


@contextmanager
def progress(name: str) -> Generator[Callable[[int, int], None]]:
    """Show a progress bar on stderr while the block runs; yields a function of the finished items and the total."""
    console = stderr_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False)
    console.push_render_hook(_SanitizeHook())
    return console


class _SanitizeHook(RenderHook):
    """Replace control characters by �: file names and titles must not control the terminal."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Sanitized(renderable) for renderable in renderables]


@dataclass
class _Sanitized:
    renderable: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.renderable, options):
            letters = (c if c.isprintable() or c in "\n\t" else "�" for c in segment.text)
            # Control segments are rich's own, such as a progress bar's.
            yield segment if segment.control else segment._replace(text="".join(letters))
