"""Image references of a model, resolved to images that it may use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock

from cachetools import LRUCache
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.indices.composed_image import ImageVectorStore
from PIL import Image

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, ImageSource, content_hash, load_image
from mmrag.images.redact import url_scheme

__all__ = ["LAST_IMAGE", "ImageResolver", "UploadCache", "find_image_node", "resize_to_fit"]

LAST_IMAGE = "last"
"""Reference to the most recent image of the user."""

MAX_SIDE = 1024  # pixels: models see no more
ID = re.compile(r"[^\"'\\/\x00-\x1f]{1,200}")
SHORT_ID = re.compile(r"[0-9a-f]{12,63}")
HANDLE = re.compile(r"upload-[0-9a-f]{12}")


class UploadCache:
    """Images of users in memory, without their metadata; the least recently used are evicted.

    Parameters
    ----------
    max_images : int, default 64
        Number of images kept.
    """

    def __init__(self, max_images: int = 64) -> None:
        self._images: LRUCache[str, Image.Image] = LRUCache(max_images)
        self._lock = Lock()

    def add(self, image: Image.Image) -> tuple[str, Image.Image]:
        """Keep an image, scaled down to at most 1024 pixels a side, and return its handle and the scaled image."""
        image = resize_to_fit(image)
        handle = f"upload-{content_hash(image)[:12]}"
        with self._lock:
            self._images[handle] = image
        return handle, image

    def get(self, handle: str) -> Image.Image | None:
        """Return the image of a handle; None if it was never added, or evicted."""
        with self._lock:
            return self._images.get(handle)


class ImageResolver:
    """Resolves ids of results, upload handles, ``data:`` URIs, and paths and URLs that the policy allows.

    Parameters
    ----------
    store : ImageVectorStore
        Collection of the indexed images.
    is_indexed : callable
        Whether an absolute path is that of an indexed image.
    policy : ImagePolicy
        Files and hosts that a model may name, and size limits. Without roots, no file but the indexed ones.
    max_uploads : int, default 64
        Number of uploads kept.
    """

    def __init__(
        self, store: ImageVectorStore, is_indexed: Callable[[str], bool], policy: ImagePolicy, max_uploads: int = 64
    ) -> None:
        self._store, self._is_indexed = store, is_indexed
        self._untrusted = replace(policy, roots=[Path(root) for root in policy.roots or ()])
        self._trusted = replace(policy, roots=None)  # for paths that no model wrote
        self._uploads = UploadCache(max_uploads)

    @property
    def accepted_forms(self) -> str:
        """The forms of a reference, as the description of a tool argument."""
        roots, hosts = self._untrusted.roots or (), sorted(self._untrusted.hosts)
        forms = [
            "the id of an earlier result",
            "the path of an indexed image",
            f"a path below {' or '.join(map(str, roots))}" if roots else "",
            f"a URL on {' or '.join(hosts)}" if hosts else "",
            "a data: URI",
        ]
        return ", ".join(filter(None, forms))

    def add_upload(self, source: ImageSource) -> str:
        """Keep an image of the user and return the handle by which a model can name it.

        Raises
        ------
        ImageError
            If it is too large, or no image.
        """
        return self._uploads.add(self.load(source))[0]

    def resolve(self, reference: str, last_image: ImageSource | None = None) -> Image.Image:
        """Load the image that a model named.

        Parameters
        ----------
        reference : str
            One of the `accepted_forms`, an upload handle, or `LAST_IMAGE`.
        last_image : image source, optional
            The most recent image of the user.

        Returns
        -------
        PIL.Image.Image
            RGB or RGBA, at most 1024 pixels a side.

        Raises
        ------
        ImageError
            If there is no such image, or the policy does not allow it.
        """
        return resize_to_fit(self._load_reference(reference, last_image))

    def load(self, source: ImageSource) -> Image.Image:
        """Load an image that no model named; only the size limits of the policy apply to files."""
        return load_image(source, self._trusted)

    def _load_reference(self, reference: str, last_image: ImageSource | None) -> Image.Image:
        if reference == LAST_IMAGE:
            if last_image is None:
                raise ImageError("the user has sent no image: ask for one, or search by words")
            return self.load(last_image)
        if HANDLE.fullmatch(reference):
            if (upload := self._uploads.get(reference)) is None:
                raise ImageError(f"{reference} is not kept, or no longer: ask for the image again")
            return upload
        if url_scheme(reference):
            return load_image(reference, self._untrusted)
        if node := find_image_node(self._store, reference):
            return self.load(node.image_path or node.image_url or "")
        return self._load_path(reference)

    def _load_path(self, path: str) -> Image.Image:
        if self._is_indexed(os.path.abspath(path)):
            return self.load(path)
        roots = () if ".." in Path(path).parts else self._untrusted.roots or ()
        candidates = [os.path.join(root, path) for root in roots]  # a relative path is tried below each root
        return load_image(next(filter(os.path.isfile, candidates), path), self._untrusted)


def find_image_node(store: ImageVectorStore, id: str) -> ImageNode | None:
    """Find the node of an indexed image by its id, or by the first 12 or more digits of a content hash."""
    if not ID.fullmatch(id):
        return None
    nodes = store.get_nodes([id])
    if not nodes and SHORT_ID.fullmatch(id):
        prefix = MetadataFilter(key="id", value=id, operator=FilterOperator.TEXT_MATCH)
        nodes = store.get_nodes(filters=MetadataFilters(filters=[prefix]))
    images = [node for node in nodes if isinstance(node, ImageNode)]
    return images[0] if len(images) == 1 else None


def resize_to_fit(image: Image.Image) -> Image.Image:
    """Convert an image to RGB or RGBA, and scale it down to at most 1024 pixels a side."""
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return image
