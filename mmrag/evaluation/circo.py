"""CIRCO. In: `annotations/val.json` and its images, of COCO. Out: `Judged`."""

from __future__ import annotations

from pydantic import BaseModel

from mmrag.evaluation.benchmarks import Annotations
from mmrag.evaluation.dataset import Judged, JudgedQuery

__all__ = ["read_circo"]

TARGET, OTHER = 2, 1


class _Record(BaseModel):
    id: int
    reference_img_id: int
    target_img_id: int
    relative_caption: str
    gt_img_ids: list[int]


def read_circo(annotations: Annotations) -> Judged:
    """Read CIRCO annotations; only the split ``val`` has targets.

    Each of ``gt_img_ids`` is a right answer, for mAP and recall; ``hit@k`` and MRR look for
    ``target_img_id``. The gallery is all of the index: the published one has 123,403 images.

    The annotations' form was read from the public file; that images are called by their id,
    padded to 12 digits, is *unverified*.

    Raises
    ------
    SettingError
        Names file, line, record and field of what cannot be read.
    """
    queries = tuple(
        JudgedQuery(
            id=f"circo-{record.id}",
            kind="CIRCO",
            text=record.relative_caption,
            image=annotations.image(_name(record.reference_img_id)),
            grades=dict.fromkeys(map(_name, record.gt_img_ids), OTHER) | {_name(record.target_img_id): TARGET},
        )
        for record in annotations.records(_Record)
    )
    return Judged(f"CIRCO {annotations.file.stem}", queries, cutoffs=(5, 10, 25, 50), exact=TARGET)


def _name(number: int) -> str:
    return f"{number:012d}"
