"""`mmrag doctor`: what this machine has of what mmrag needs, and what to type for the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from mmrag.cli.console import messages, results, write_json
from mmrag.cli.options import Collection, Database, Device, Json, Model, Reranker

if TYPE_CHECKING:
    from mmrag.cli.checks import Check

__all__ = ["doctor"]

MARKS = {"well": ("✓", "green"), "not yet": ("○", "yellow"), "broken": ("✗", "red")}


def doctor(
    db: Database = None,
    collection: Collection = None,
    model: Model = None,
    reranker: Reranker = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Check device, memory, models, Milvus and the LLM server; leave with 1 when one is ✗.

    ○ marks what is not set up yet, with what to type for it.

    Example: mmrag doctor --db shop.db --model m3
    """
    from mmrag.cli.checks import checks
    from mmrag.settings import read_settings

    settings = read_settings(db=db, collection=collection, model=model, reranker=reranker, device=device)
    found: list[Check] = []
    with messages().status("looking around"):
        for check in checks(settings):
            found.append(check)
            if not as_json:
                _show(check)
    if as_json:
        write_json([asdict(check) for check in found])
    if any(check.state == "broken" for check in found):
        raise typer.Exit(1)


def _show(check: Check) -> None:
    from rich.text import Text

    mark, color = MARKS[check.state]
    name = Text(f" {check.name:<12}", style="bold")
    results().print(Text(mark, style=color) + name + Text(check.found), soft_wrap=True)
    if check.remedy:
        results().print(Text(f"  {check.remedy}", style="yellow"), soft_wrap=True)
