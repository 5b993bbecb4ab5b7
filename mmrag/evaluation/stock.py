"""What an index holds, by the names that judgements use. In: an index. Out: its stock."""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, cast

from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.indices.composed_image.connection import answered

from mmrag.errors import SettingError
from mmrag.filters import Comparison, Filter, Scalar
from mmrag.results import Hit

__all__ = ["Stock", "take_stock"]

FILE_NAME, NAMES = "file_name", "names"
PAGE = 1000


@dataclass(frozen=True)
class Place:
    """What has a name: its image, what people call it, and the value a filter finds it by."""

    image: str
    title: str
    value: Scalar


@dataclass(frozen=True)
class Stock:
    """All images of an index by name.

    Attributes
    ----------
    field
        The metadata field that names an image; `FILE_NAME` counts without its ending.
    size
        How many images there are; one that several files hold has several names.
    places
        By name.
    doubled
        Names of more than one image.
    nameless
        How many images lack the field.
    """

    field: str
    size: int
    places: Mapping[str, Place]
    doubled: frozenset[str]
    nameless: int

    @cached_property
    def values(self) -> frozenset[Scalar]:
        """What filters can ask for."""
        return frozenset(place.value for place in self.places.values())

    def names(self, hit: Hit) -> list[str]:
        """Tell all names that mean this hit alone; one without is called by its image."""
        names = _names(hit.metadata, self.field)
        return [name for name in names if name not in self.doubled] or [hit.image]

    def only(self, names: Collection[str]) -> Filter | None:
        """Make the filter that only these names pass; None when all there are would pass."""
        values = frozenset(self.places[name].value for name in names if name in self.places)
        if values == self.values and not self.nameless:
            return None
        return Comparison(self.field, "in", tuple(sorted(values, key=str)))

    def check(self, names: Collection[str]) -> None:
        """See that judged names mean one image each, and that there are any.

        Raises
        ------
        SettingError
            When a name means several, or none means one.
        """
        if not self.places.keys() & names:
            held = f"{self.size} others, as {min(self.places)!r}" if self.places else "no images"
            raise SettingError(
                f"none of {len(names)} judged images, as {min(names)!r}, is in the index, which "
                f"holds {held}: index their folder, or name them by a field, with --item FIELD"
            )
        if unclear := sorted(self.doubled.intersection(names)):
            raise SettingError(
                f"{len(unclear)} judged names mean several images, as "
                f"{unclear[0]!r}: name images by a metadata field, with --item FIELD"
            )


def take_stock(index: ComposedImageIndex, field: str | None = None) -> Stock:
    """Read the names of all images of an index.

    Parameters
    ----------
    index
        Open.
    field
        The metadata field that names an image; its file's name without the ending when None.

    Raises
    ------
    SettingError
        When no image has that field.
    """
    field = field or FILE_NAME
    places: dict[str, Place] = {}
    doubled: set[str] = set()
    size = nameless = 0
    for node in _nodes(index, field):
        size += 1
        image = (node.image_path or node.image_url) if isinstance(node, ImageNode) else None
        title = Hit(node.node_id, image or "", 0.0, node.metadata).title
        names = list(_names(node.metadata, field))
        nameless += not names
        for name in names:
            if name in places:
                doubled.add(name)
            places[name] = Place(image or "", title, cast("Scalar", node.metadata[field]))
    if size and not places:
        raise SettingError(f"none of {size} images has the field {field!r}: check --item")
    return Stock(field, size, places, frozenset(doubled), nameless)


def _names(metadata: Mapping[str, Any], field: str) -> Iterator[str]:
    if field not in metadata:
        return
    if field != FILE_NAME:
        yield str(metadata[field])
        return
    # The index keeps one row for files of the same content, and tells the names of all.
    files = [metadata[FILE_NAME], *metadata.get(NAMES, ())]
    yield from dict.fromkeys(PurePath(file).stem for file in files)


def _nodes(index: ComposedImageIndex, field: str) -> Iterator[Any]:
    store = index.vector_store
    with answered(store.place, "reading the names of its images"), _without_warnings():
        rows = cast("Any", store.client).query_iterator(
            store.collection_name, batch_size=PAGE, output_fields=[field, NAMES, "_node_content", "_node_type"]
        )
        while page := rows.next():
            yield from map(metadata_dict_to_node, page)
        rows.close()


@contextmanager
def _without_warnings() -> Generator[None]:
    """Keep pymilvus from warning that Lite has no clock of its own: nobody writes meanwhile."""
    log = logging.getLogger("pymilvus.orm.iterator")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
