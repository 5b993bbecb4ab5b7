"""JPEG thumbnails of the images of an index, found by their id alone."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from llama_index.indices.composed_image import ImageVectorStore
from PIL import Image

from mmrag.agent_tool.image_resolver import find_image_node
from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, load_image
from mmrag.images.encode import thumbnail

__all__ = ["IndexedImages", "encode_image"]


class IndexedImages:
    """The images of an index; no path comes from outside.

    Parameters
    ----------
    store : ImageVectorStore
        Collection of the images.
    policy : ImagePolicy
        Files and hosts that may be read.
    max_thumbnails : int, default 512
        Number of thumbnails kept in memory.
    """

    def __init__(self, store: ImageVectorStore, policy: ImagePolicy, max_thumbnails: int = 512) -> None:
        self._store, self._policy = store, policy
        self.thumbnail = lru_cache(max_thumbnails)(self._thumbnail)

    def load(self, id: str) -> Image.Image:
        """Load an indexed image.

        Raises
        ------
        ImageError
            If no image has this id, or it cannot be read.
        """
        node = find_image_node(self._store, id)
        if node is None:
            raise ImageError(f"no image with the id {id!r} is indexed or kept: search for it again, or send it again")
        return load_image(node.image_path or node.image_url or "", self._policy)

    def sample(self, n: int) -> list[tuple[str, str]]:
        """Return ids and titles of a few images, as examples to start from."""
        store: Any = self._store
        rows = store.client.query(store.collection_name, filter="", limit=n, output_fields=["id", "text"])
        return [(str(row["id"]), str(row["text"])) for row in rows]

    def _thumbnail(self, id: str, side: int) -> bytes:
        return encode_image(thumbnail(self.load(id), side))


def encode_image(image: Image.Image, format: str = "JPEG") -> bytes:
    """Encode an image as JPEG, or as PNG with its transparency."""
    buffer = io.BytesIO()
    if format == "JPEG":
        image.convert("RGB").save(buffer, format, quality=85, optimize=True)
    else:
        image.save(buffer, format, compress_level=1)
    return buffer.getvalue()
