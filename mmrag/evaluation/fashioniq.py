"""FashionIQ. In: `cap.{category}.{train,val}.json`, its images. Out: `Judged`."""

from __future__ import annotations

from pydantic import BaseModel

from mmrag.errors import SettingError
from mmrag.evaluation.benchmarks import Annotations
from mmrag.evaluation.dataset import Judged, JudgedQuery
from mmrag.indexing.json_records import read_list

__all__ = ["read_fashioniq"]


class _Record(BaseModel):
    candidate: str
    target: str
    captions: list[str]


def read_fashioniq(annotations: Annotations) -> Judged:
    """Read the FashionIQ annotations of one category; the split ``test`` has no targets.

    The two captions are one query, joined by " and ". The category is the queries' kind, so that
    three files give R@10 and R@50 by category, and their mean. The gallery is
    ``../image_splits/split.{category}.{split}.json``, where that file lies beside the captions as
    it is published, and else all of the index.

    The form of ``candidate`` and ``captions`` was read from a public file; ``target``, and that a
    split is a list of names, are *unverified*.

    Raises
    ------
    SettingError
        Names file, line, record and field of what cannot be read.
    """
    file = annotations.file
    match file.name.split("."):
        case ["cap", category, _, "json"]:
            pass
        case _:
            raise SettingError(f"{file}: FashionIQ calls its files cap.CATEGORY.SPLIT.json")
    queries = tuple(
        JudgedQuery(
            id=f"{file.stem}-{number}",
            kind=category,
            text=" and ".join(caption.strip() for caption in record.captions),
            image=annotations.image(record.candidate),
            grades={record.target: 1},
        )
        for number, record in enumerate(annotations.records(_Record), 1)
    )
    split = annotations.gallery
    galleries = {category: frozenset(str(name) for _, name in read_list(split))} if split else {}
    return Judged(file.stem, queries, cutoffs=(10, 50), galleries=galleries)
