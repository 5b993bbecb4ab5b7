"""`mmrag eval`: how good an index is on judged queries, as a table, JSON, and one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import messages, results, stage, write_json
from mmrag.cli.options import Json, Rerank, Searching

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmrag.evaluation import Evaluation
    from mmrag.evaluation.comparison import ResultComparison

__all__ = ["eval"]


def eval(
    db: Annotated[str, typer.Argument(metavar="DB", help="Index: a folder x.db, or a server.", show_default=False)],
    dataset: Annotated[
        list[Path],
        typer.Argument(
            metavar="QUERIES...",
            help="Folder with queries.jsonl and qrels.txt; CIRR, FashionIQ or CIRCO annotations.",
            show_default=False,
        ),
    ],
    report: Annotated[Path | None, typer.Option("--report", help="Write a page to this file.")] = None,
    compare: Annotated[Path | None, typer.Option("--compare", help="An earlier run: what --json wrote.")] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder of the queries' images.")] = None,
    item: Annotated[str | None, typer.Option("--item", help="Field that names images; else the file's name.")] = None,
    rerank: Rerank = True,
    as_json: Json = False,
    **given: Unpack[Searching],
) -> None:
    """Measure an index on judged queries: before and after reranking, and by modality.

    Example: mmrag eval shop.db queries/ --report report.html --no-rerank
    """
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **given)
    with messages().status("loading the models"):
        from mmrag.evaluation import Evaluation, evaluate, read_dataset
        from mmrag.evaluation.comparison import compare as compared
        from mmrag.evaluation.report import write_evaluation
        from mmrag.search import Searcher

        queries = read_dataset(dataset, images)
        earlier = Evaluation.load(compare) if compare else None
        searcher = Searcher.open(settings)
    with searcher, stage("asking") as show:
        told = evaluate(searcher, queries, rerank=rerank, item=item, on_progress=show)
    comparison = compared(told, earlier) if earlier else None
    if as_json:
        changes = {"comparison": comparison.model_dump()} if comparison else {}
        write_json(told.model_dump() | changes)
    else:
        _show(told, comparison)
    if report:
        write_evaluation(report, told, comparison)
        messages().print(f"written: {report}", soft_wrap=True)


def _show(told: Evaluation, comparison: ResultComparison | None) -> None:
    from mmrag.evaluation.result import COMPOSED, RERANK_GAIN

    results().print(f"{len(told.results)} queries over {told.num_images} images")
    ways = list(dict.fromkeys(score.mode for score in told.scores))
    rows = [[m, *(_number(told, m, way) for way in ways)] for m in told.metrics]
    _table(["metric", *ways], rows)
    kinds = [kind for kind in dict.fromkeys(score.kind for score in told.scores)][1:]
    if len(kinds) > 1:
        results().print(f"\n{told.main_metric} by kind of query")
        rows = [[k, *(_number(told, told.main_metric, way, k) for way in ways)] for k in kinds]
        _table(["kind", *ways], rows)
    final = told.score(told.main_metric, RERANK_GAIN if told.reranker else COMPOSED)
    results().print(f"\n{told.main_metric}, {final.mode}, with its 95 % interval: {final}")
    results().print("\nmilliseconds")
    times = [[stage, *(f"{ms[p]:.1f}" for p in ("p50", "p90", "p99"))] for stage, ms in told.latencies.items()]
    _table(["stage", "p50", "p90", "p99"], times)
    if told.answers:
        shares = {
            "malformed and mended": told.answers.malformed,
            "failed": told.answers.failed,
            "of the rankings repaired": told.answers.repaired,
        }
        words = ", ".join(f"{100 * share:.1f} % {name}" for name, share in shares.items())
        results().print(f"\nthe vision LLM was asked {told.answers.calls} times: {words}")
    if comparison:
        results().print(f"\nagainst {comparison.before}")
        changes = [
            [c.metric, c.mode, f"{c.before:.3f}", f"{c.now:.3f}", f"{c.difference:+.3f}"] for c in comparison.changes
        ]
        _table(["metric", "mode", "before", "now", "difference"], changes)
    for fault, names in (
        ("right answers are not in the index", told.missing),
        ("queries are left out, their images cannot be read", list(told.skipped)),
    ):
        if names:
            few = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            messages().print(f"{len(names)} {fault}: {few}", style="yellow")


def _number(told: Evaluation, measure: str, way: str, kind: str = "all") -> str:
    from mmrag.evaluation.result import RERANK_GAIN

    return format(told.score(measure, way, kind).value, "+.3f" if way == RERANK_GAIN else ".3f")


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    results().print(table)
