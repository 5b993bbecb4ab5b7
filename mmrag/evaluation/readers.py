"""Readers of evaluation data sets: folders with `queries.jsonl` and `qrels.txt`, and published annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from mmrag.errors import SettingError
from mmrag.evaluation.benchmarks import Annotations, read_circo, read_cirr, read_fashioniq
from mmrag.evaluation.dataset import EvalDataset, EvalQuery, merge_datasets
from mmrag.indexing.json_records import read_lines, read_list, read_records, read_text

__all__ = ["read_dataset", "read_folder"]

QUERIES, QRELS = "queries.jsonl", "qrels.txt"
BENCHMARKS = {
    "pairid": (read_cirr, "target_hard"),
    "candidate": (read_fashioniq, "target"),
    "reference_img_id": (read_circo, "target_img_id"),
}
"""Reader, and field of the target, by a field that only the records of this benchmark have."""


def read_dataset(paths: Sequence[str | Path], images: str | Path | None = None) -> EvalDataset:
    """Read folders of queries, or annotations of CIRR, FashionIQ and CIRCO.

    Parameters
    ----------
    paths : sequence of str or Path
        Folders with ``queries.jsonl`` and ``qrels.txt``, or annotation files; several are merged.
    images : str or Path, optional
        Folder of the images of annotation files; sub-folders are searched too.

    Raises
    ------
    SettingError
        If a path has no known format or cannot be read.
    """
    return merge_datasets([_read(Path(path), images) for path in paths])


def _read(path: Path, images: str | Path | None) -> EvalDataset:
    if path.is_dir() or not path.exists():
        if (path / QUERIES).is_file():
            return read_folder(path)
        raise SettingError(
            f"{path} is no folder with {QUERIES} and {QRELS}, and no annotation file: "
            "mmrag.datasets.write_queries shows the form"
        )
    records = read_list(path)
    fields = records[0][1] if records and isinstance(records[0][1], dict) else {}
    benchmark = next((BENCHMARKS[field] for field in BENCHMARKS if field in fields), None)
    if benchmark is None:
        raise SettingError(
            f"{path} has no known format: the first record of CIRR, FashionIQ and CIRCO has {', '.join(BENCHMARKS)}"
        )
    reader, target = benchmark
    if target not in fields:
        raise SettingError(
            f"{records[0][0]}: no {target}. Test splits come without answers, which only the "
            "publisher's server knows: take the validation split"
        )
    if images is None:
        raise SettingError(f"{path} comes without images: give their folder, with --images")
    if not Path(images).is_dir():
        raise SettingError(f"--images {images} is no folder: check the path")
    return reader(Annotations(path, records, Path(images)))


class _QueryRecord(BaseModel):
    id: str
    kind: str = "queries"
    text: str = ""
    image: str | None = None


def read_folder(folder: Path) -> EvalDataset:
    """Read a folder that `mmrag.datasets.write_queries` or another program wrote.

    ``queries.jsonl`` has one object per line: ``id``, ``text``, ``image`` (a file in the folder, or null) and,
    optionally, ``kind``. ``qrels.txt`` is in TREC format: ``query 0 image grade``. The highest grade of the file
    counts as relevant; lower grades count for nDCG only.

    Raises `SettingError` with file, line and field if a line is invalid, or a graded query is missing.
    """
    grades = _read_qrels(folder / QRELS)
    queries: list[EvalQuery] = []
    for record in read_records(read_lines(folder / QUERIES), _QueryRecord):
        if not record.text.strip() and not record.image:
            raise SettingError(f"{folder / QUERIES}, query {record.id!r}: no text and no image")
        image = folder / record.image if record.image else None
        queries.append(EvalQuery(record.id, record.kind, record.text, image, grades.pop(record.id, {})))
    if grades:
        raise SettingError(
            f"{folder / QRELS} grades {len(grades)} queries that {QUERIES} does not hold, "
            f"as {next(iter(grades))!r}: the two files are of different runs"
        )
    best = max((grade for query in queries for grade in query.grades.values()), default=1)
    return EvalDataset(folder.resolve().name, tuple(queries), relevant=best, exact=best)


def _read_qrels(file: Path) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        match line.split():
            case []:
                pass
            case [query, _, image, grade] if grade.lstrip("-").isdecimal():
                if int(grade) > 0:
                    grades.setdefault(query, {})[image] = int(grade)
            case _:
                raise SettingError(f"{file}, line {number}: 'query 0 image grade' was expected, found {line!r}")
    return grades
