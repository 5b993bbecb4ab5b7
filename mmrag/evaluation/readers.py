"""Judged queries, of any form that there is a reader for. In: paths. Out: `Judged`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mmrag.errors import SettingError
from mmrag.evaluation.benchmarks import Annotations
from mmrag.evaluation.circo import read_circo
from mmrag.evaluation.cirr import read_cirr
from mmrag.evaluation.dataset import Judged, together
from mmrag.evaluation.fashioniq import read_fashioniq
from mmrag.evaluation.folder import QRELS, QUERIES, read_folder
from mmrag.indexing.json_records import read_list

__all__ = ["read_judged"]

READERS = {
    "pairid": (read_cirr, "target_hard"),
    "candidate": (read_fashioniq, "target"),
    "reference_img_id": (read_circo, "target_img_id"),
}
"""By a field that only this data set's records have; with the field of the right answer."""


def read_judged(paths: Sequence[str | Path], images: str | Path | None = None) -> Judged:
    """Read folders of judged queries, or annotations of CIRR, FashionIQ and CIRCO.

    Parameters
    ----------
    paths
        Folders with ``queries.jsonl`` and ``qrels.txt``, or annotation files; several are one set.
    images
        Where the images of annotation files are, sub-folders included.

    Raises
    ------
    SettingError
        When a path is none of these, or cannot be read.
    """
    return together([_read(Path(path), images) for path in paths])


def _read(path: Path, images: str | Path | None) -> Judged:
    if path.is_dir() or not path.exists():
        if (path / QUERIES).is_file():
            return read_folder(path)
        raise SettingError(
            f"{path} is no folder with {QUERIES} and {QRELS}, and no annotation file: "
            "mmrag.datasets.write_queries shows the form"
        )
    records = read_list(path)
    first = cast("Mapping[str, Any]", records[0][1]) if records else {}
    known = next((known for field, known in READERS.items() if field in first), None)
    if known is None:
        raise SettingError(
            f"{path} is of no known form: the first record of CIRR, FashionIQ and CIRCO files has {', '.join(READERS)}"
        )
    reader, target = known
    if target not in first:
        raise SettingError(
            f"{records[0][0]}: no {target}. Test splits come without answers, which only the "
            "publisher's server knows: take the validation split"
        )
    if images is None:
        raise SettingError(f"{path} comes without images: give their folder, with --images")
    folder = Path(images)
    if not folder.is_dir():
        raise SettingError(f"--images {images} is no folder: check the path")
    return reader(Annotations(path, records, folder))
