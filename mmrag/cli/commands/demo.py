"""`mmrag demo`: the whole pipeline on a drawn catalog, offline, with the bundled models."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrag.cli.console import messages, results, stage, write_json
from mmrag.cli.options import Json, Rerank

if TYPE_CHECKING:
    from mmrag.cli.demo import Demo
    from mmrag.results import Found

__all__ = ["demo"]

BUNDLED = "demo"
COLLECTION = "catalog"


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where all of it goes.")] = Path("demo"),
    queries: Annotated[int, typer.Option(min=1, help="How many queries to measure.")] = 100,
    rerank: Rerank = True,
    model: Annotated[str, typer.Option("--model", help="Another encoder.")] = BUNDLED,
    reranker: Annotated[str, typer.Option("--reranker", help="Another vision LLM.")] = BUNDLED,
    as_json: Json = False,
) -> None:
    """Draw a catalog, index it, search it by image and sentence, rerank, and measure.

    It runs offline. The bundled models know this drawn catalog, and nothing else.

    Example: mmrag demo
    """
    from mmrag.settings import read_settings

    settings = read_settings(
        db=str(folder / "catalog.db"), collection=COLLECTION, model=model, reranker=reranker, llm_url=""
    )
    with messages().status("loading the models"):
        from mmrag.cli.demo import run_demo

    try:
        done = run_demo(folder, settings, stage, n_queries=queries, rerank=rerank)
    except KeyboardInterrupt:
        messages().print("stopped: the same command goes on from there")
        raise
    if as_json:
        write_json(_told(done))
    else:
        _show(done, settings.db, model)


def _show(done: Demo, db: str, model: str) -> None:
    from rich.table import Table

    results().print(f"{done.indexed}", soft_wrap=True)
    for found in done.searches:
        results().print(f"\n{_in_words(found)}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("\nmeasured", "\nretrieved", "\nreranked"):
        table.add_column(heading, justify="left" if heading == "\nmeasured" else "right")
    for figure in done.figures:
        after = "" if figure.after is None else f"{figure.after:.3f}"
        table.add_row(figure.name, f"{figure.before:.3f}", after)
    results().print(table)
    times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in done.timings_ms.items())
    results().print(f"median of a search: {times}")
    results().print(f"\nbefore and after:   {done.page}", soft_wrap=True)
    results().print(f"contact sheets:     {done.sheets[0].parent}/sheet-*.png", soft_wrap=True)
    command = ["mmrag", "search", "mug with this", "--no-rerank", "--db", db, "--model", model]
    command += ["--collection", COLLECTION, "-i", f"{done.page.parent}/queries/leopard.jpg"]
    results().print(f"search it yourself: {shlex.join(command)}", soft_wrap=True)


def _in_words(found: Found) -> str:
    best = found.moves[0]
    image = "image" if found.query.image is not None else ""
    asked = " + ".join(filter(None, [image, f"“{found.query.text}”" if found.query.text else ""]))
    lines = [f"{asked} → {best.hit.title}"]
    if found.reranked:
        lines[0] += f" (retrieval had it at {best.before})"
        if reason := found.reranked.ranking.reason:
            lines.append(f"  because: {reason}")
    if found.unknown_words:
        lines.append(f"  the encoder does not know: {', '.join(found.unknown_words)}")
    return "\n".join(lines)


def _told(done: Demo) -> dict[str, object]:
    return {
        "indexed": str(done.indexed),
        "searches": [found.to_json() for found in done.searches],
        "figures": {f.name: {"retrieved": f.before, "reranked": f.after} for f in done.figures},
        "timings_ms": dict(done.timings_ms),
        "page": str(done.page),
        "sheets": [str(sheet) for sheet in done.sheets],
    }
