"""Pytest fixtures for apps built on mmrag; pytest finds them wherever mmrag is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from mmrag.datasets import Item, Target

__all__ = ["DrawnCatalog", "drawn_catalog", "milvus_lite"]

SIZE = 72  # half of the pairs of product and pattern, each product and each pattern among them


@dataclass(frozen=True)
class DrawnCatalog:
    """Products as JPEG files in a folder, and what is true of each.

    Examples
    --------
    >>> def test_my_app(drawn_catalog, milvus_lite):
    ...     with ComposedImageIndex.open(milvus_lite, embed_model) as index:
    ...         index.add_folder(drawn_catalog.folder, metadata=drawn_catalog.metadata)
    """

    folder: Path
    items: tuple[Item, ...]

    @property
    def metadata(self) -> Mapping[str, Mapping[str, str | float]]:
        """Title, product, pattern, color and price, by the name of the file."""
        fields = ("title", "product", "pattern", "color", "price")
        return {item.file: {name: getattr(item, name) for name in fields} for item in self.items}

    def path(self, item: Item) -> Path:
        """Where the image of an item lies."""
        return self.folder / item.file

    def relevance(self, target: Target) -> Callable[[Image.Image], float]:
        """Grade images by how well they answer a target, by recognizing what they show.

        ``MockVision(looking(drawn_catalog.relevance(query.target)))`` is a reranker without faults.
        """

        def grade(image: Image.Image) -> float:
            distances = ((self._looks - _look(image)) ** 2).sum(axis=1)  # (items,)
            item = self.items[int(distances.argmin())]
            return float(target.grade(item.product, item.pattern, item.color))

        return grade

    @cached_property
    def _looks(self) -> np.ndarray:
        import numpy as np

        from mmrag.images import load_image

        return np.stack([_look(load_image(self.path(item))) for item in self.items])


@pytest.fixture(scope="session")
def drawn_catalog(tmp_path_factory: pytest.TempPathFactory) -> DrawnCatalog:
    """Draw seventy-two products, the same in every run."""
    from mmrag.datasets import write_catalog

    folder = tmp_path_factory.mktemp("drawn_catalog")
    return DrawnCatalog(folder, tuple(write_catalog(folder, SIZE, workers=1)))


@pytest.fixture
def milvus_lite(tmp_path: Path) -> Iterator[Path]:
    """Name the folder of a Milvus Lite of this test's own: not there before, closed afterwards."""
    place = tmp_path / "milvus.db"
    yield place
    if manager := sys.modules.get("milvus_lite.server_manager"):
        manager.server_manager_instance.release_server(str(place))


def _look(image: Image.Image) -> np.ndarray:
    import numpy as np

    small = image.convert("RGB").resize((12, 12))
    return np.asarray(small, dtype=np.float32).ravel()  # (12 * 12 * 3,)
