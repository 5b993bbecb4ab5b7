"""Amazon Reviews 2023, items. In: `meta_….jsonl(.gz)`, a folder of images. Out: listed images.

Each item gives its main image; what is not text or a number stays behind.
"""

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
from mmrag.indexing import Listed
from mmrag.indexing.json_records import read_lines, read_records

__all__ = ["AmazonItems", "holds_amazon_items"]

MAIN = "MAIN"
OWN_FIELDS = frozenset({"parent_asin", "images"})


class _Image(BaseModel):
    large: str | None = None
    hi_res: str | None = None
    thumb: str | None = None
    variant: str | None = None

    @property
    def urls(self) -> list[str]:
        return [url for url in (self.large, self.hi_res, self.thumb) if url]


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
    def _a_number_or_nothing(cls, price: object) -> object:
        # Some are "None", "—" or "from 12.99": what is no number is no price.
        try:
            return float(price)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True)
class AmazonItems:
    """The items of a file, to be read again and again; iterating gives a `Listed` an item.

    The form of the file is *unverified*: it was not read from the published one.

    Attributes
    ----------
    file
        ``meta_{Category}.jsonl`` or the same with ``.gz``.
    images
        Where the images are, called as their URLs end; None keeps the URLs themselves, which
        are fetched where their host is allowed.
    """

    file: Path
    images: Path | None = None
    columns: ClassVar[Mapping[str, type[Scalar]]] = {
        "parent_asin": str,
        "title": str,
        "main_category": str,
        "store": str,
        "price": float,
        "average_rating": float,
        "rating_number": int,
    }
    fields: ClassVar[Mapping[str, str]] = {name: name for name in columns}
    left_out: ClassVar[tuple[str, ...]] = ("features", "description", "categories", "details")

    @property
    def name(self) -> str:
        """The absolute path of the file."""
        return str(self.file.resolve())

    def __iter__(self) -> Iterator[Listed]:
        for item in read_records(read_lines(self.file), _Item):
            image = next((p for p in item.images if p.variant == MAIN), None)
            image = image or next(iter(item.images), None)
            if image and image.urls:
                facts = item.model_dump(exclude={"images"}, exclude_none=True)
                yield Listed(self._located(image.urls), facts)

    def _located(self, urls: list[str]) -> str:
        if self.images is None:
            return urls[0]
        # Unquoted first: "..%2Fa.jpg" shall not lead out of the folder.
        names = [unquote(re.split(r"[?#]", url)[0]).rsplit("/", 1)[-1] for url in urls]
        files = [os.path.join(self.images, name) for name in names]
        return next(filter(os.path.isfile, files), files[0])


def holds_amazon_items(file: Path) -> bool:
    """Tell whether the first line of a ``.jsonl`` or ``.jsonl.gz`` file is an item.

    Raises
    ------
    SettingError
        When the file cannot be read, or its first line is no JSON.
    """
    if not file.name.lower().endswith((".jsonl", ".jsonl.gz")):
        return False
    first = next((piece for _, piece in islice(read_lines(file), 1)), None)
    return isinstance(first, dict) and first.keys() >= OWN_FIELDS
