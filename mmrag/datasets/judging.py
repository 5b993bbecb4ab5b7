"""Queries and their graded answers as files: `queries.jsonl`, images, TREC-style `qrels.txt`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from .catalog import Item
from .queries import DrawnQuery
from .studio import draw_files

__all__ = ["qrels", "write_queries"]


def qrels(queries: Iterable[DrawnQuery], items: Sequence[Item]) -> list[str]:
    """Judge each query against each item: lines ``query 0 item grade``.

    Grades are 2 (exact) and 1 (partial). As usual in TREC files, what is not listed has grade 0.

    Examples
    --------
    >>> from mmrag.datasets import plan_catalog, queries
    >>> items = plan_catalog(288)
    >>> qrels(queries("swatch_product", 1, seed=3, catalog=items), items)[0].split()[:2]
    ['swatch_product-0000', '0']
    """
    judged = (
        (query.id, item.id, query.wish.grade(item.product, item.pattern, item.color))
        for query in queries
        for item in items
    )
    return [f"{query} 0 {item} {grade}" for query, item, grade in judged if grade]


def write_queries(folder: str | Path, queries: Sequence[DrawnQuery], items: Sequence[Item]) -> None:
    """Write queries, their images (JPEG) and their judgements into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shown = {folder / f"{query.id}.jpg": query.shown for query in queries if query.shown}
    draw_files(shown)
    lines = [json.dumps(_record(query)) + "\n" for query in queries]
    (folder / "queries.jsonl").write_text("".join(lines), encoding="utf-8")
    judgements = "".join(f"{line}\n" for line in qrels(queries, items))
    (folder / "qrels.txt").write_text(judgements, encoding="utf-8")


def _record(query: DrawnQuery) -> dict[str, object]:
    return {
        "id": query.id,
        "kind": query.kind,
        "text": query.text,
        "image": f"{query.id}.jpg" if query.shown else None,
        "wish": asdict(query.wish),
    }
