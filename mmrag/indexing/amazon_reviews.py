"""Reader of Amazon Reviews 2023: the items of ``meta_….jsonl(.gz)`` as image entries."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from pydantic import BaseModel, Field, field_validator

from mmrag.filters import Scalar
from mmrag.indexing.json_records import read_lines, read_records
from mmrag.indexing.records import ImageEntry

__all__ = ["AmazonItems", "is_amazon_reviews"]

MAIN = "MAIN"
OWN_FIELDS = frozenset({"parent_asin", "images"})


class _Image(BaseModel):
    large: str | None = None
    hi_res: str | None = None
    thumb: str | None = None
    variant: str | None = None


class _Item(BaseModel):
    parent_asin: str
    title: str | None = None
    main_category: str | None = None
    store: str | None = None
    price: float | None = None
    average_rating: float | None = None
    rating_number: int | None = None
    images: list[_Image] = Field(default_factory=list[_Image])

    @field_validator("price", mode="before")
    @classmethod
    def _number_or_none(cls, price: object) -> object:
        # Some are "None", "—" or "from 12.99".
        try:
            return float(price)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True)
class AmazonItems:
    """The main images of the items of a file, with all metadata that are text or a number.

    The format is *unverified*: it was written after its description, not after the published file.
    """

    file: Path
    images: Path | None = None  # folder of the images, named as their URLs end; None: the URLs are fetched
    columns: ClassVar[Mapping[str, type[Scalar]]] = {
        **dict.fromkeys(("parent_asin", "title", "main_category", "store"), str),
        **{"price": float, "average_rating": float, "rating_number": int},
    }
    fields: ClassVar[Mapping[str, str]] = {name: name for name in columns}
    skipped_columns: ClassVar[tuple[str, ...]] = ("features", "description", "categories", "details")

    @property
    def name(self) -> str:
        """The absolute path of the file."""
        return str(self.file.resolve())

    def __iter__(self) -> Iterator[ImageEntry]:
        for item in read_records(read_lines(self.file), _Item):
            for main in ([image for image in item.images if image.variant == MAIN] or item.images)[:1]:
                if urls := [url for url in (main.large, main.hi_res, main.thumb) if url]:
                    metadata = item.model_dump(exclude={"images"}, exclude_none=True)
                    yield ImageEntry(self._image_path(urls), metadata)

    def _image_path(self, urls: list[str]) -> str:
        if self.images is None:
            return urls[0]
        # Unquoted first: "..%2Fa.jpg" must not lead out of the folder.
        names = [unquote(re.split(r"[?#]", url)[0]).rsplit("/", 1)[-1] for url in urls]
        files = [os.path.join(self.images, name) for name in names]
        return next(filter(os.path.isfile, files), files[0])


def is_amazon_reviews(file: Path) -> bool:
    """Return True if the first line of a ``.jsonl`` or ``.jsonl.gz`` file is an item; raises as `read_lines`."""
    if not file.name.lower().endswith((".jsonl", ".jsonl.gz")):
        return False
    first = next((piece for _, piece in islice(read_lines(file), 1)), None)
    return isinstance(first, dict) and first.keys() >= OWN_FIELDS
