"""`mmrag eval`: retrieval metrics of an index on a data set, as a table, JSON and an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from mmrag.cli.console import print_table, progress, stderr_console, stdout_console, write_json
from mmrag.cli.options import Json, Rerank, SearchOptions

if TYPE_CHECKING:
    from mmrag.evaluation import Evaluation
    from mmrag.evaluation.result import ResultComparison

__all__ = ["eval"]

SHOWN_NAMES = 5


def eval(
    db: Annotated[str, typer.Argument(metavar="DB", help="Index: a folder x.db, or a server.")],
    queries: Annotated[
        list[Path],
        typer.Argument(
            metavar="QUERIES...", help="Folder with queries.jsonl and qrels.txt; CIRR, FashionIQ or CIRCO annotations."
        ),
    ],
    report: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    compare: Annotated[Path | None, typer.Option(help="An earlier run: what --json wrote.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the queries' images.")] = None,
    item: Annotated[str | None, typer.Option(help="Field that names images; else the file's name.")] = None,
    rerank: Rerank = True,
    as_json: Json = False,
    **options: Unpack[SearchOptions],
) -> None:
    """Evaluate an index on queries with known answers: before and after reranking, and by modality.

    Example: mmrag eval shop.db queries/ --report report.html --no-rerank
    """
    from mmrag.settings import read_settings

    settings = read_settings(db=db, **options)
    with stderr_console().status("loading the models"):
        from mmrag.evaluation import Evaluation, evaluate, read_dataset
        from mmrag.evaluation.comparison import compare as compare_runs
        from mmrag.search import ImageSearcher

        dataset = read_dataset(queries, images)
        earlier = Evaluation.load(compare) if compare else None
        searcher = ImageSearcher.open(settings)
    with searcher, progress("searching") as show:
        evaluation = evaluate(searcher, dataset, rerank=rerank, item=item, on_progress=show)
    comparison = compare_runs(evaluation, earlier) if earlier else None
    if as_json:
        changes = {"comparison": comparison.model_dump()} if comparison else {}
        write_json(evaluation.model_dump() | changes)
    else:
        _show(evaluation, comparison)
    if report:
        evaluation.write_html(report, comparison)
        stderr_console().print(f"written: {report}", soft_wrap=True)


def _show(evaluation: Evaluation, comparison: ResultComparison | None) -> None:
    from mmrag.evaluation.result import COMPOSED, RERANK_GAIN

    def row(heading: str, metric: str, kind: str) -> list[str]:
        scores = {mode: evaluation.score(metric, mode, kind).value for mode in modes}
        return [heading, *(format(value, "+.3f" if mode == RERANK_GAIN else ".3f") for mode, value in scores.items())]

    out, main = stdout_console(), evaluation.main_metric
    modes = list(dict.fromkeys(score.mode for score in evaluation.scores))
    every, *kinds = dict.fromkeys(score.kind for score in evaluation.scores)
    out.print(f"{len(evaluation.results)} queries over {evaluation.num_images} images")
    print_table(["metric", *modes], [row(metric, metric, every) for metric in evaluation.metrics])
    if len(kinds) > 1:
        out.print(f"\n{main} by kind of query")
        print_table(["kind", *modes], [row(kind, main, kind) for kind in kinds])
    final = evaluation.score(main, RERANK_GAIN if evaluation.reranker else COMPOSED)
    out.print(f"\n{main}, {final.mode}, with its 95 % interval: {final}")
    out.print("\nmilliseconds")
    latencies = [[stage, *(f"{ms:.1f}" for ms in points.values())] for stage, points in evaluation.latencies.items()]
    print_table(["stage", "p50", "p90", "p99"], latencies)
    if answers := evaluation.answers:
        out.print(
            f"\n{answers.calls} calls of the vision LLM: {100 * answers.malformed:.1f} % malformed and repaired, "
            f"{100 * answers.failed:.1f} % failed, {100 * answers.repaired:.1f} % of the rankings repaired"
        )
    if comparison:
        out.print(f"\nagainst {comparison.before}")
        changes = [
            [change.metric, change.mode, f"{change.before:.3f}", f"{change.now:.3f}", f"{change.difference:+.3f}"]
            for change in comparison.changes
        ]
        print_table(["metric", "mode", "before", "now", "difference"], changes, left=["mode"])
    for fault, names in (
        ("right answers are not in the index", evaluation.missing),
        ("queries are left out, their images cannot be read", list(evaluation.skipped)),
    ):
        if names:
            few = ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")
            stderr_console().print(f"{len(names)} {fault}: {few}", style="yellow")
