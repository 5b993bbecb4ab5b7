"""CIRR. In: `cap.rc2.{train,val}.json`, and its images. Out: `Judged`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from mmrag.errors import SettingError
from mmrag.evaluation.benchmarks import Annotations
from mmrag.evaluation.dataset import Judged, JudgedQuery
from mmrag.indexing.json_records import parse, read_text

__all__ = ["read_cirr"]


class _Few(BaseModel):
    members: list[str]


class _Record(BaseModel):
    pairid: int
    reference: str
    caption: str
    target_hard: str
    img_set: _Few


def read_cirr(annotations: Annotations) -> Judged:
    """Read CIRR annotations; only the splits ``train`` and ``val`` have targets.

    A query's own image is left out of its ranking: an image is its own nearest neighbor. The
    gallery is ``../image_splits/split.rc2.{split}.json``, where that file lies beside the
    captions as it is published, and else all of the index. ``subset recall@k`` ranks the members
    of a query's ``img_set`` among themselves.

    The captions' form, and the names in the splits, were read from the public files. That a split
    maps a name to a path is *unverified*: only its names are used.

    Raises
    ------
    SettingError
        Names file, line, record and field of what cannot be read.
    """
    queries = tuple(
        JudgedQuery(
            id=f"cirr-{record.pairid}",
            kind="CIRR",
            text=record.caption,
            image=annotations.image(record.reference),
            grades={record.target_hard: 1},
            excluded=frozenset([record.reference]),
            subset=tuple(record.img_set.members),
        )
        for record in annotations.records(_Record)
    )
    gallery = annotations.gallery
    return Judged(
        name=annotations.file.stem,
        queries=queries,
        cutoffs=(1, 5, 10, 50),
        subset_cutoffs=(1, 2, 3),
        galleries={"CIRR": _names(gallery)} if gallery else {},
    )


def _names(split: Path) -> frozenset[str]:
    names = parse(read_text(split), str(split))
    if not isinstance(names, dict):
        raise SettingError(f"{split}: a JSON object of names and paths was expected")
    return frozenset(map(str, names))
