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

LAST_IMAGE = "last"  # reference to the most recent image of the user
MAX_SIDE = 1024  # pixels: models see no more
ID = re.compile(r"[^\"'\\/\x00-\x1f]{1,200}")
SHORT_ID = re.compile(r"[0-9a-f]{12,63}")
HANDLE = re.compile(r"upload-[0-9a-f]{12}")


class UploadCache:
    """Images of users in memory, without their metadata; the least recently used are evicted."""

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

    Without roots in the policy, a model can name no file but those whose absolute path ``is_indexed``.
    """

    def __init__(self, store: ImageVectorStore, is_indexed: Callable[[str], bool], policy: ImagePolicy) -> None:
        self._store, self._is_indexed = store, is_indexed
        self._untrusted = replace(policy, roots=[Path(root) for root in policy.roots or ()])
        self._trusted = replace(policy, roots=None)  # for paths that no model wrote
        self._uploads = UploadCache()

    @property
    def accepted_forms(self) -> str:
        """The forms of a reference, as the description of a tool argument."""
        forms = ["the id of an earlier result", "the path of an indexed image"]
        if roots := self._untrusted.roots:
            forms.append(f"a path below {' or '.join(map(str, roots))}")
        if hosts := sorted(self._untrusted.hosts):
            forms.append(f"a URL on {' or '.join(hosts)}")
        return ", ".join([*forms, "a data: URI"])

    def add_upload(self, source: ImageSource) -> str:
        """Keep an image of the user, and return the handle by which a model can name it."""
        return self._uploads.add(self.load(source))[0]

    def resolve(self, reference: str, last_image: ImageSource | None = None) -> Image.Image:
        """Load the image that a model named by one of the `accepted_forms`, an upload handle, or `LAST_IMAGE`.

        It is scaled down to at most 1024 pixels a side; ``last_image`` is the user's most recent image.
        """
        if reference == LAST_IMAGE:
            if last_image is None:
                raise ImageError("the user has sent no image: ask for one, or search by words")
            image = self.load(last_image)
        elif HANDLE.fullmatch(reference):
            image = self._uploads.get(reference)
            if image is None:
                raise ImageError(f"{reference} is not kept, or no longer: ask for the image again")
        elif url_scheme(reference):
            image = load_image(reference, self._untrusted)
        elif node := find_image_node(self._store, reference):
            image = self.load(node.image_path or node.image_url or "")
        else:
            image = self._load_path(reference)
        return resize_to_fit(image)

    def load(self, source: ImageSource) -> Image.Image:
        """Load an image that no model named: only the size limits of the policy apply to files."""
        return load_image(source, self._trusted)

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
