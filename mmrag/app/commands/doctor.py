"""`mmrag doctor`: what this machine has of what mmrag needs, and what to type for the rest."""

from __future__ import annotations

from dataclasses import asdict

import typer

from mmrag.app.console import messages, results, write_json
from mmrag.app.options import Collection, Database, Device, Json, Model, Reranker

__all__ = ["doctor"]


def doctor(
    db: Database = None,
    collection: Collection = None,
    model: Model = None,
    reranker: Reranker = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Check device, memory, weights, Milvus and the LLM server; leave with 1 when one is ✗.

    Example: mmrag doctor --db shop.db --model m3
    """
    from mmrag.app.checks import Check, checks
    from mmrag.app.settings import read_settings

    settings = read_settings(
        db=db, collection=collection, model=model, reranker=reranker, device=device
    )
    found: list[Check] = []
    with messages().status("looking around"):
        for check in checks(settings):
            found.append(check)
            if not as_json:
                _show(check.name, check.well, check.found, check.remedy)
    if as_json:
        write_json([asdict(check) for check in found])
    if not all(check.well for check in found):
        raise typer.Exit(1)


def _show(name: str, well: bool, found: str, remedy: str) -> None:
    from rich.text import Text

    mark = Text("✓ " if well else "✗ ", style="green" if well else "red")
    results().print(mark + Text(f"{name:<12}", style="bold") + Text(found))
    if remedy:
        results().print(Text(f"  {remedy}", style="yellow"), soft_wrap=True)  # to be copied whole
