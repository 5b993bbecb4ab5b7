"""The encoder protocol: texts, images and composed queries to unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from mmrag.errors import EncodeError
from mmrag.images import ImageSource
from mmrag.query import Query

__all__ = ["Encoder", "EncoderInfo", "EncoderItem", "ItemKind", "Progress", "Role", "as_query", "check_kinds"]

EncoderItem = Query | ImageSource
"""A `str` is a text and nothing else; a `Query` is what it holds; anything else is an image."""

ItemKind = Literal["text", "image", "composed"]
ALL_KINDS = frozenset[ItemKind](("text", "image", "composed"))
Role = Literal["query", "document"]
Progress = Callable[[int, int], None]
"""Called after each batch with the number of items encoded and the number of all items."""


@dataclass(frozen=True)
class EncoderInfo:
    """Facts about an encoder.

    Attributes
    ----------
    name : str
        Name that collections record; a collection refuses an encoder of another name.
    fingerprint : str
        Changes when the weights or the preprocessing change.
    dim : int
        Length of the vectors.
    kinds : frozenset of str
        The kinds of items it encodes: "text", "image", "composed". Default: all three.
    """

    name: str
    fingerprint: str
    dim: int
    kinds: frozenset[ItemKind] = ALL_KINDS


class Encoder(Protocol):
    """Anything that turns items into unit vectors, for instance `mmrag.VisualizedBGE`."""

    @property
    def info(self) -> EncoderInfo:
        """Name, fingerprint, dimension and kinds."""
        ...

    def encode(
        self,
        items: Sequence[EncoderItem],
        *,
        role: Role = "document",
        batch_size: int = 32,
        on_progress: Progress | None = None,
    ) -> npt.NDArray[np.float32]:
        """Encode items to float32 vectors of length 1, ``(n, dim)``, in input order."""
        ...


def as_query(item: EncoderItem) -> Query:
    """Convert an item to a `Query`; a `str` becomes its text, never parsed.

    >>> as_query("in red ![](a.jpg)"), as_query(b"GIF89a")
    (Query(text='in red ![](a.jpg)', image=None), Query(text='', image=bytes (6)))
    """
    if isinstance(item, Query):
        return item
    return Query(item) if isinstance(item, str) else Query(image=item)


def check_kinds(info: EncoderInfo, items: Iterable[EncoderItem]) -> None:
    """Raise `EncodeError` for the first item of a kind that the encoder lacks."""
    if info.kinds == ALL_KINDS:
        return
    for index, query in enumerate(map(as_query, items)):
        kind = "text" if query.image is None else "composed" if query.text else "image"
        if kind not in info.kinds:
            raise EncodeError(
                f"item {index} is of the kind {kind!r}, encoder {info.name!r} encodes only "
                f"{', '.join(sorted(info.kinds))}: use another encoder, for instance 'base-en-v1.5', which encodes all",
                index,
            )
