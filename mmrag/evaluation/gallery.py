"""The images of an index by the names that evaluation data sets use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import PurePath
from typing import Any, cast

from llama_index.indices.composed_image import ComposedImageIndex

from mmrag.errors import SettingError
from mmrag.evaluation.result import ImageInfo
from mmrag.filters import FieldComparison, Filter, Scalar
from mmrag.results import RankedImage

__all__ = ["Gallery", "load_gallery"]

FILE_NAME, NAMES = "file_name", "names"


@dataclass(frozen=True)
class Gallery:
    """All images of an index, and their values of the identifying field, by name.

    An image that several files hold has several names; ``ambiguous`` names belong to more than one image.
    """

    field: str
    size: int
    images: Mapping[str, ImageInfo]
    values: Mapping[str, Scalar]
    ambiguous: frozenset[str]
    unnamed: int  # images without the field

    @cached_property
    def _all_values(self) -> frozenset[Scalar]:
        return frozenset(self.values.values())

    def names(self, metadata: Mapping[str, Any]) -> list[str]:
        """Return the unambiguous names of an image by its metadata."""
        return [name for name in _names(metadata, self.field) if name not in self.ambiguous]

    def filter(self, names: Collection[str]) -> Filter | None:
        """Build the filter that only these names pass; None if it would pass every image."""
        values = frozenset(self.values[name] for name in names if name in self.values)
        if values == self._all_values and not self.unnamed:
            return None
        return FieldComparison(self.field, "in", tuple(sorted(values, key=str)))

    def validate(self, names: Collection[str]) -> None:
        """Raise `SettingError` if none of the graded names is in the index, or one is ambiguous."""
        if not self.images.keys() & names:
            held = f"{self.size} others, as {min(self.images)!r}" if self.images else "no images"
            raise SettingError(
                f"none of {len(names)} graded images, as {min(names)!r}, is in the index, which "
                f"holds {held}: index their folder, or name them by a field, with --item FIELD"
            )
        if ambiguous := sorted(self.ambiguous.intersection(names)):
            raise SettingError(
                f"{len(ambiguous)} graded names belong to several images, as "
                f"{ambiguous[0]!r}: name images by a metadata field, with --item FIELD"
            )


def load_gallery(index: ComposedImageIndex, field: str | None = None) -> Gallery:
    """Read the names of all images of an index: file names without extension, or values of a metadata field.

    Raises `SettingError` if no image has the field.
    """
    field = field or FILE_NAME
    images: dict[str, ImageInfo] = {}
    values: dict[str, Scalar] = {}
    ambiguous: set[str] = set()
    size = unnamed = 0
    for size, node in enumerate(chain.from_iterable(index.vector_store.pages()), 1):
        image = RankedImage.from_node(node, rank=size, score=None)
        info = ImageInfo(path=image.path, title=image.title)
        names = _names(node.metadata, field)
        unnamed += not names
        ambiguous.update(images.keys() & names)
        images |= dict.fromkeys(names, info)
        values |= dict.fromkeys(names, cast("Scalar", node.metadata.get(field)))
    if size and not images:
        raise SettingError(f"none of {size} images has the field {field!r}: check --item")
    return Gallery(field, size, images, values, frozenset(ambiguous), unnamed)


def _names(metadata: Mapping[str, Any], field: str) -> list[str]:
    if field == FILE_NAME and FILE_NAME in metadata:
        # The index keeps one row for files of the same content, with the names of all of them.
        return list(dict.fromkeys(PurePath(file).stem for file in (metadata[FILE_NAME], *metadata.get(NAMES, ()))))
    return [str(metadata[field])] if field in metadata else []
