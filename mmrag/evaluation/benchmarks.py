"""Readers of the published annotations of CIRR, FashionIQ and CIRCO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import AliasPath, BaseModel, Field

from mmrag.errors import SettingError
from mmrag.evaluation.dataset import EvalDataset, EvalQuery
from mmrag.indexing.json_records import Located, parse_json, read_list, read_records, read_text

__all__ = ["Annotations", "read_circo", "read_cirr", "read_fashioniq"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Annotations:
    """An annotation file under its published name, its unchecked records, and the folder of its images.

    Readers raise `SettingError` with file, line, record and field if a record is invalid.
    """

    file: Path
    records: Sequence[Located]
    images: Path

    def image(self, name: str) -> Path:
        """Return the path of an image; a path that cannot be read if the image is missing."""
        return self._paths.get(name, self.images / f"{name} (not there)")

    @property
    def split(self) -> Path | None:
        """The file with the gallery, ``../image_splits/split.*.json``; None, the whole index, where it is missing."""
        split = self.file.parent.parent / "image_splits" / self.file.name.replace("cap.", "split.", 1)
        return split if split.is_file() else None

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return {file.stem: file for file in self.images.rglob("*") if file.suffix.lower() in SUFFIXES}


class _CIRRRecord(BaseModel):
    pairid: int
    reference: str
    caption: str
    target_hard: str
    members: list[str] = Field(validation_alias=AliasPath("img_set", "members"))


def read_cirr(annotations: Annotations) -> EvalDataset:
    """Read CIRR: ``cap.rc2.train.json`` or ``cap.rc2.val.json``; the test split has no targets.

    The query's own image is excluded from its ranking. ``subset recall@k`` ranks the members of ``img_set``.
    """
    queries = tuple(
        EvalQuery(
            id=f"cirr-{record.pairid}",
            kind="CIRR",
            text=record.caption,
            image=annotations.image(record.reference),
            grades={record.target_hard: 1},
            excluded=frozenset([record.reference]),
            subset=tuple(record.members),
        )
        for record in read_records(annotations.records, _CIRRRecord)
    )
    galleries: dict[str, frozenset[str]] = {}
    if split := annotations.split:
        paths = parse_json(read_text(split), str(split))  # paths by name
        if not isinstance(paths, dict):
            raise SettingError(f"{split}: a JSON object of names and paths was expected")
        galleries["CIRR"] = frozenset(map(str, paths))
    return EvalDataset(annotations.file.stem, queries, (1, 5, 10, 50), (1, 2, 3), galleries=galleries)


class _FashionIQRecord(BaseModel):
    candidate: str
    target: str
    captions: list[str]


def read_fashioniq(annotations: Annotations) -> EvalDataset:
    """Read one category of FashionIQ: ``cap.{category}.{train,val}.json``; the test split has no targets.

    The two captions are joined by " and ". The category is the kind of the queries, so that three files give
    recall@10 and recall@50 by category and their mean.
    """
    file = annotations.file
    match file.name.split("."):
        case ["cap", category, _, "json"]:
            pass
        case _:
            raise SettingError(f"{file}: FashionIQ calls its files cap.CATEGORY.SPLIT.json")
    queries = tuple(
        EvalQuery(
            id=f"{file.stem}-{number}",
            kind=category,
            text=" and ".join(caption.strip() for caption in record.captions),
            image=annotations.image(record.candidate),
            grades={record.target: 1},
        )
        for number, record in enumerate(read_records(annotations.records, _FashionIQRecord), 1)
    )
    split = annotations.split
    galleries = {category: frozenset(str(name) for _, name in read_list(split))} if split else {}
    return EvalDataset(file.stem, queries, (10, 50), galleries=galleries)


class _CIRCORecord(BaseModel):
    id: int
    reference_img_id: int
    target_img_id: int
    relative_caption: str
    gt_img_ids: list[int]


def read_circo(annotations: Annotations) -> EvalDataset:
    """Read CIRCO: ``annotations/val.json``, with COCO's images; the test split has no targets.

    Each of ``gt_img_ids`` counts for mAP and recall; hit@k and MRR count ``target_img_id`` only.
    The gallery is the whole index; the published one has 123,403 images.
    """
    coco_name = "{:012d}".format
    queries = tuple(
        EvalQuery(
            id=f"circo-{record.id}",
            kind="CIRCO",
            text=record.relative_caption,
            image=annotations.image(coco_name(record.reference_img_id)),
            grades=dict.fromkeys(map(coco_name, record.gt_img_ids), 1) | {coco_name(record.target_img_id): 2},
        )
        for record in read_records(annotations.records, _CIRCORecord)
    )
    return EvalDataset(f"CIRCO {annotations.file.stem}", queries, (5, 10, 25, 50), exact=2)
