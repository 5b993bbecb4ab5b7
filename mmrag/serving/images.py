"""The images of a page. In: an id out of the index, or a visitor's upload. Out: small JPEGs.

Only what is indexed can be named, and only by its id: no path comes from outside.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from llama_index.core.schema import ImageNode
from llama_index.indices.composed_image import ImageVectorStore
from PIL import Image

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, ImageSource, content_hash, load_image
from mmrag.images.encode import thumbnail
from mmrag.images.redact import describe_source

__all__ = ["Indexed", "Uploads", "jpeg"]

LARGEST = 1024
"""No upload is kept with a longer side: encoders and composites look at fewer pixels."""


class Indexed:
    """The images of an index, as thumbnails; the latest are kept in memory.

    Parameters
    ----------
    store
        Knows which image has which id.
    policy
        Which files and hosts may be read.
    kept
        How many thumbnails are kept.
    """

    def __init__(self, store: ImageVectorStore, policy: ImagePolicy, kept: int = 512) -> None:
        self._store, self._policy = store, policy
        self.thumbnail = lru_cache(kept)(self._thumbnail)

    def source(self, id: str) -> str:
        """Find the path or URL of an image.

        Raises
        ------
        ImageError
            When no image has this id.
        """
        for node in self._store.get_nodes([id]):
            if isinstance(node, ImageNode) and (place := node.image_path or node.image_url):
                return place
        raise ImageError(f"no image with the id {id!r} is in this index: search for it again")

    def some(self, n: int) -> list[tuple[str, str]]:
        """Take the ids and titles of a few images, to start from."""
        store: Any = self._store
        rows = store.client.query(store.collection_name, filter="", limit=n, output_fields=["id", "text"])
        return [(str(row["id"]), str(row["text"])) for row in rows]

    def _thumbnail(self, id: str, side: int) -> bytes:
        # loaded here first: `thumbnail` draws a square in place of what cannot be read
        return jpeg(thumbnail(load_image(self.source(id), self._policy), side))


class Uploads:
    """The images that visitors brought, in a temporary folder that is gone afterwards.

    Parameters
    ----------
    policy
        How large they may be; which files and hosts it allows does not matter.
    kept
        How many are kept; the oldest go first.
    """

    def __init__(self, policy: ImagePolicy, kept: int = 64) -> None:
        # Whatever a visitor sends is data: never the name of a file or of a host.
        self._policy = ImagePolicy(roots=(), max_bytes=policy.max_bytes, max_pixels=policy.max_pixels)
        self._folder = TemporaryDirectory(prefix="mmrag-uploads-")
        self._kept = kept
        self._files: OrderedDict[str, Path] = OrderedDict()
        self._alone = Lock()

    def keep(self, source: ImageSource) -> str:
        """Check, shrink and keep an image, without its metadata; give it an id.

        Raises
        ------
        ImageError
            When it is too large, or no image.
        """
        try:
            image = load_image(source, self._policy)
        except ImageError as error:
            # Its sender knows no "bytes (5000)".
            told = str(error).replace(describe_source(source), "the query's image", 1)
            raise ImageError(told) from error
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        id = content_hash(image)
        file = Path(self._folder.name) / f"{id}.png"
        with self._alone:
            if id not in self._files:
                image.save(file, compress_level=1)
            self._files[id] = file
            self._files.move_to_end(id)
            while len(self._files) > self._kept:
                self._files.popitem(last=False)[1].unlink(missing_ok=True)
        return id

    def file(self, id: str) -> Path | None:
        """Find an image that was kept; None when it is not, or no longer."""
        return self._files.get(id)

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def jpeg(image: Image.Image) -> bytes:
    """Write an image as JPEG."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()
