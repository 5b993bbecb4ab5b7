"""`mmrag demo`: the whole pipeline on a drawn catalog, offline, with the bundled models."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrag.cli.console import print_table, progress, stderr_console, stdout_console, write_json
from mmrag.cli.options import Json, Rerank

if TYPE_CHECKING:
    from mmrag.cli.demo import DemoResult
    from mmrag.results import RankedImages

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
    with stderr_console().status("loading the models"):
        from mmrag.cli.demo import run_demo

    try:
        result = run_demo(folder, settings, progress, n_queries=queries, rerank=rerank)
    except KeyboardInterrupt:
        stderr_console().print("stopped: the same command goes on from there")
        raise
    if as_json:
        write_json(result.to_json())
    else:
        _show(result, settings.db, model)


def _show(result: DemoResult, db: str, model: str) -> None:
    out = stdout_console()
    out.print(f"{result.indexed}", soft_wrap=True)
    for found in result.searches:
        out.print(f"\n{_describe(found)}", soft_wrap=True)
    figures = [
        [figure.name, f"{figure.before:.3f}", "" if figure.after is None else f"{figure.after:.3f}"]
        for figure in result.figures
    ]
    print_table(["\nmeasured", "\nretrieved", "\nreranked"], figures)
    timings = ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in result.timings_ms.items())
    out.print(f"median of a search: {timings}")
    out.print(f"\nbefore and after:   {result.page}", soft_wrap=True)
    out.print(f"contact sheets:     {result.sheets[0].parent}/sheet-*.png", soft_wrap=True)
    command = ["mmrag", "search", "mug with this", "--no-rerank", "--db", db, "--model", model]
    command += ["--collection", COLLECTION, "-i", f"{result.page.parent}/queries/leopard.jpg"]
    out.print(f"search it yourself: {shlex.join(command)}", soft_wrap=True)


def _describe(found: RankedImages) -> str:
    best, asked = found.results[0], found.query
    assert asked is not None
    image = "image" if asked.image is not None else ""
    query = " + ".join(filter(None, [image, f"“{asked.text}”" if asked.text else ""]))
    lines = [f"{query} → {best.title}"]
    if found.stage == "reranked":
        lines[0] += f" (retrieval had it at {best.retrieval_rank})"
        if found.reason:
            lines.append(f"  because: {found.reason}")
    if found.unknown_words:
        lines.append(f"  the encoder does not know: {', '.join(found.unknown_words)}")
    return "\n".join(lines)
