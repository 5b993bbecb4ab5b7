"""Pytest fixtures for apps built on mmrag, loaded as a plugin wherever mmrag is installed."""

# Every pytest run of the environment imports this module: at its top stand pytest and the standard library only.

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


@dataclass(frozen=True)
class DrawnCatalog:
    """A folder of JPEG files of products, with their metadata and grades.

    Examples
    --------
    >>> def test_my_app(drawn_catalog, milvus_lite):
    ...     embed_model = VisualizedBGEEmbedding(encoder=toy_encoder())
    ...     with ComposedImageIndex.open(milvus_lite, embed_model) as index:
    ...         index.add_folder(drawn_catalog.folder, metadata=drawn_catalog.metadata)
    ...         rerank = LLVMRerank(llm=MockVision(reversing()))
    ...         engine = index.as_query_engine(node_postprocessors=[rerank])
    ...         assert len(engine.query("a red mug").source_nodes) == 2
    """

    folder: Path
    items: tuple[Item, ...]

    @property
    def metadata(self) -> Mapping[str, Mapping[str, str | float]]:
        """Title, product, pattern, color and price by file name."""
        fields = ("title", "product", "pattern", "color", "price")
        return {item.file: {name: getattr(item, name) for name in fields} for item in self.items}

    def path(self, item: Item) -> Path:
        """Return the path of an item's image."""
        return self.folder / item.file

    def relevance(self, target: Target) -> Callable[[Image.Image], float]:
        """Return a function that grades an image of the catalog by its pixels.

        ``MockVision(looking(drawn_catalog.relevance(query.target)))`` is a perfect reranker.
        """

        def grade(image: Image.Image) -> float:
            distances = ((self._thumbnails - _thumbnail(image)) ** 2).sum(axis=1)  # (items,)
            item = self.items[int(distances.argmin())]
            return float(target.grade(item.product, item.pattern, item.color))

        return grade

    @cached_property
    def _thumbnails(self) -> np.ndarray:
        import numpy as np

        from mmrag.images import load_image

        return np.stack([_thumbnail(load_image(self.path(item))) for item in self.items])


@pytest.fixture(scope="session")
def drawn_catalog(tmp_path_factory: pytest.TempPathFactory) -> DrawnCatalog:
    """Draw a catalog of 72 products, the same in every run."""
    from mmrag.datasets import write_catalog

    folder = tmp_path_factory.mktemp("drawn_catalog")
    # half of the pairs of product and pattern, with each product and each pattern
    return DrawnCatalog(folder, tuple(write_catalog(folder, 72, workers=1)))


@pytest.fixture
def milvus_lite(tmp_path: Path) -> Iterator[Path]:
    """Return the path of a new Milvus Lite database and close it after the test."""
    path = tmp_path / "milvus.db"
    yield path
    if manager := sys.modules.get("milvus_lite.server_manager"):
        manager.server_manager_instance.release_server(str(path))


def _thumbnail(image: Image.Image) -> np.ndarray:
    import numpy as np

    return np.asarray(image.convert("RGB").resize((12, 12)), dtype=np.float32).ravel()  # (12 * 12 * 3,)
