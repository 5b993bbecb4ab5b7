"""Images by reference. In: what a model wrote. Out: an image it may use, or why it may not."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from llama_index.core.schema import ImageNode
from llama_index.indices.composed_image import ImageVectorStore
from llama_index.indices.composed_image.connection import translate_errors
from PIL import Image

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, ImageSource, content_hash, load_image
from mmrag.images.redact import url_scheme

__all__ = ["LAST", "References", "shrunk"]

LAST = "last"
"""How a model names the image that the user sent last."""

LARGEST = 1024
"""No example image is passed on with a longer side: models look at fewer pixels."""

ID = re.compile(r"[^\"'\\/\x00-\x1f]{1,200}")
SHORT_ID = re.compile(r"[0-9a-f]{12,63}")
HANDLE = re.compile(r"upload-[0-9a-f]{12}")


class References:
    """Opens what may be opened: results, uploads, ``data:`` URIs, and what ``policy`` allows.

    Parameters
    ----------
    store
        Knows which image has which id.
    is_indexed
        Tells whether a path is the path of an indexed image.
    policy
        Which other files and hosts may be read; no folder where its roots are None.
    kept
        How many uploads are kept; the oldest go first.
    """

    def __init__(
        self, store: ImageVectorStore, is_indexed: Callable[[str], bool], policy: ImagePolicy, kept: int = 64
    ) -> None:
        self._store, self._is_indexed, self._kept = store, is_indexed, kept
        self._asked = replace(policy, roots=[Path(root) for root in policy.roots or ()])
        self._own = replace(policy, roots=None)  # for paths that no model wrote
        self._uploads: OrderedDict[str, Image.Image] = OrderedDict()

    @property
    def ways(self) -> str:
        """How an image may be given, wherever the model runs."""
        roots, hosts = self._asked.roots or (), sorted(self._asked.hosts)
        ways = [
            "the id of an earlier result",
            "the path of an indexed image",
            f"a path below {' or '.join(map(str, roots))}" if roots else "",
            f"a URL on {' or '.join(hosts)}" if hosts else "",
            "a data: URI",
        ]
        return ", ".join(filter(None, ways))

    def keep(self, source: ImageSource) -> str:
        """Take an image that a user brought; the handle that names it comes back.

        Raises
        ------
        ImageError
            When it is too large, or no image.
        """
        image = shrunk(load_image(source, self._own))
        handle = f"upload-{content_hash(image)[:12]}"
        self._uploads[handle] = image
        self._uploads.move_to_end(handle)
        while len(self._uploads) > self._kept:
            self._uploads.popitem(last=False)
        return handle

    def open(self, reference: str, last: ImageSource | None = None) -> Image.Image:
        """Open what a model named; ``last`` is the image that the user sent last.

        Raises
        ------
        ImageError
            When there is no such image, or it may not be opened.
        """
        if reference == LAST:
            return shrunk(self._open_last(last))
        if HANDLE.fullmatch(reference):
            return self._upload(reference)
        if url_scheme(reference):
            return shrunk(load_image(reference, self._asked))
        node = self.node(reference)
        return shrunk(self.image(node) if node else self._open_path(reference))

    def node(self, id: str) -> ImageNode | None:
        """Find the node of a result, also by the short form of its id."""
        if not ID.fullmatch(id):
            return None
        found = self._store.get_nodes([id])
        if not found and SHORT_ID.fullmatch(id):
            found = self._store.get_nodes(self._ids_from(id))
        images = [node for node in found if isinstance(node, ImageNode)]
        return images[0] if len(images) == 1 else None

    def image(self, node: ImageNode) -> Image.Image:
        """Open the image of an indexed node."""
        return load_image(node.image_path or node.image_url or "", self._own)

    def _upload(self, handle: str) -> Image.Image:
        image = self._uploads.get(handle)
        if image is None:
            raise ImageError(f"{handle} is not kept, or no longer: ask for the image again")
        return image

    def _open_last(self, last: ImageSource | None) -> Image.Image:
        if last is None:
            raise ImageError("the user has sent no image: ask for one, or search by words")
        return load_image(last, self._own)

    def _open_path(self, path: str) -> Image.Image:
        if self._is_indexed(os.path.abspath(path)):
            return load_image(path, self._own)
        roots = () if ".." in Path(path).parts else self._asked.roots or ()
        below = [os.path.join(root, path) for root in roots]  # a bare name is looked for in each
        return load_image(next(filter(os.path.isfile, below), path), self._asked)

    def _ids_from(self, start: str) -> list[str]:
        with translate_errors(self._store.connection, "reading"):
            rows = self._store.client.query(
                self._store.collection_name, filter=f'id like "{start}%"', limit=2, output_fields=["id"]
            )
        return [row["id"] for row in rows]


def shrunk(image: Image.Image) -> Image.Image:
    """Make an image no larger than models look at, in colors that every format holds."""
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return image
