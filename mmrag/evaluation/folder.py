"""Judged queries in a folder. In: `queries.jsonl`, images, TREC `qrels.txt`. Out: `Judged`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from mmrag.errors import SettingError
from mmrag.evaluation.dataset import Judged, JudgedQuery
from mmrag.indexing.json_records import read_lines, read_records, read_text

__all__ = ["QRELS", "QUERIES", "read_folder"]

QUERIES, QRELS = "queries.jsonl", "qrels.txt"


class _Asked(BaseModel):
    id: str
    kind: str = "queries"
    text: str = ""
    image: str | None = None


def read_folder(folder: Path) -> Judged:
    """Read what `mmrag.datasets.write_queries` writes, and what others write in its form.

    ``queries.jsonl`` has an object a line: ``id``, ``text``, ``image`` (a file in the folder, or
    null), and ``kind``, which may be left out. ``qrels.txt`` has lines ``query 0 image grade``.
    The highest grade there is counts as right; lower ones count for nDCG.

    Raises
    ------
    SettingError
        Names file, line and field of what cannot be read, or a judged query that nobody asks.
    """
    grades = _grades(folder / QRELS)
    queries: list[JudgedQuery] = []
    for asked in read_records(read_lines(folder / QUERIES), _Asked):
        if not asked.text.strip() and not asked.image:
            raise SettingError(f"{folder / QUERIES}, query {asked.id!r}: no text and no image")
        image = folder / asked.image if asked.image else None
        judged = grades.pop(asked.id, {})
        queries.append(JudgedQuery(asked.id, asked.kind, asked.text, image, judged))
    if grades:
        raise SettingError(
            f"{folder / QRELS} judges {len(grades)} queries that {QUERIES} does not hold, "
            f"as {next(iter(grades))!r}: the two files are of different runs"
        )
    best = max((grade for query in queries for grade in query.grades.values()), default=1)
    return Judged(folder.resolve().name, tuple(queries), relevant=best, exact=best)


def _grades(file: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        match line.split():
            case []:
                continue
            case [query, _, item, grade] if grade.lstrip("-").isdecimal():
                if int(grade) > 0:
                    grades.setdefault(query, {})[item] = int(grade)
            case _:
                raise SettingError(f"{file}, line {number}: 'query 0 image grade' was expected, found {line!r}")
    return grades
