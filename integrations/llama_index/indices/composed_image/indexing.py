"""Where indexed images go, and the record of them. In: images and vectors. Out: image nodes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from llama_index.core.schema import BaseNode, ImageNode
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.indices.composed_image.vector_store import ImageStore

from mmrag.errors import StoreError
from mmrag.images.redact import redact_url
from mmrag.indexing import ImageRecord
from mmrag.indexing.manifest import FOLDERS, MANIFEST_SUFFIX, Entry, Manifest
from mmrag.indexing.records import note_of

__all__ = ["MilvusShelf", "image_node", "open_manifest"]

# A node's JSON must stay far below the 64 KB that a server takes; the manifest knows all names.
MOST_NAMES_BYTES = 8_000


class MilvusShelf:
    """A `ImageStore` as the shelf that `mmrag.indexing` fills."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def check(self, image: ImageRecord) -> None:
        """Refuse an image whose metadata the collection cannot keep."""
        self._store.check(image_node(image))

    def upsert(self, images: Sequence[ImageRecord], vectors: Sequence[Sequence[float]]) -> None:
        """Write images as image nodes."""
        if images:
            nodes = [image_node(p, v) for p, v in zip(images, vectors, strict=True)]
            self._store.add(nodes)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove images."""
        self._store.delete_nodes(list(ids))

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """Fetch the vectors that are there."""
        return self._store.vectors(ids)

    def recall(self, manifest: Manifest) -> None:
        """Enter what is stored into a record that was lost, or is another machine's."""
        for nodes in self._store.pages():
            entries = [entry for node in nodes for entry in _entries(node)]
            with manifest.transaction():
                for entry in entries:
                    manifest.put(entry)
                manifest.settle(entry.image_id for entry in entries)


def image_node(image: ImageRecord, vector: Sequence[float] | None = None) -> ImageNode:
    """Make the node of an image: its first path or URL, and all its names."""
    first = image.paths[0]
    remote = "://" in first
    file_name = unquote(urlsplit(first).path) if remote else first
    file_name = file_name.rstrip("/").rsplit("/", 1)[-1]
    metadata: dict[str, Any] = {"file_name": file_name, **image.metadata}
    if len(image.paths) > 1:
        metadata["names"] = _within(MOST_NAMES_BYTES, map(redact_url, image.paths))
    return ImageNode(
        id_=image.id,
        image_path=None if remote else first,
        image_url=first if remote else None,
        text=str(image.metadata.get("title", Path(file_name).stem)),
        metadata=metadata,
        embedding=list(vector) if vector is not None else None,
    )


def _entries(node: BaseNode) -> Iterator[Entry]:
    """Read back the files of an image that `image_node` made."""
    if isinstance(node, ImageNode) and re.fullmatch(r"[0-9a-f]{64}", node.node_id):
        metadata = dict(node.metadata)
        metadata.pop("file_name", None)
        # Of URLs, only the first was stored whole.
        others = [name for name in metadata.pop("names", ()) if "://" not in name]
        for path in {node.image_path or node.image_url or "", *others}:
            yield Entry(path, node.node_id, 0, 0, {FOLDERS: note_of(metadata, path)})


def open_manifest(store: ImageStore, embed_model: ComposedImageEmbedding) -> Manifest:
    """Open the record of a collection: in its Milvus Lite folder, or the user's data folder."""
    folder = store.place.folder or _data_folder(store)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}, for the record of what is indexed, cannot be made ({error.strerror}): "
            "check that you may write there, or set XDG_DATA_HOME"
        ) from error
    file = folder / f"{store.collection_name}{MANIFEST_SUFFIX}"
    return Manifest(file, store.identity, embed_model.info.name, embed_model.info.dim)


def _data_folder(store: ImageStore) -> Path:
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "mmrag" / hashlib.sha256(str(store.place).encode()).hexdigest()[:16]


def _within(limit: int, names: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for name in names:
        limit -= len(name.encode())
        if limit < 0:
            break
        kept.append(name)
    return kept
