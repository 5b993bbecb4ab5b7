"""Adapter between the indexing pipeline and a Milvus collection: image nodes and the manifest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from llama_index.core.schema import BaseNode, ImageNode
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.indices.composed_image.vector_store import ImageVectorStore
from platformdirs import user_data_path

from mmrag.errors import StoreError
from mmrag.images.redact import redact_url
from mmrag.indexing import ImageRecord
from mmrag.indexing.manifest import FOLDER_SOURCE, MANIFEST_SUFFIX, FileRecord, Manifest
from mmrag.indexing.records import metadata_to_json

__all__ = ["MilvusImageStore", "open_manifest", "rebuild_manifest", "to_image_node"]

# A node's JSON must stay far below the 64 KB that a server takes; the manifest knows all paths.
MAX_NAMES_BYTES = 8_000


@dataclass(frozen=True)
class MilvusImageStore:
    """An `ImageVectorStore` as the vector store of `mmrag.indexing`."""

    store: ImageVectorStore

    def to_row(self, record: ImageRecord) -> dict[str, Any]:
        """Convert an image to a row; raises `StoreError` if the collection cannot keep its metadata."""
        return self.store.row_schema.to_row(to_image_node(record))

    def upsert(self, rows: Sequence[Mapping[str, Any]], vectors: Sequence[Sequence[float]]) -> None:
        """Write rows with their vectors."""
        self.store.upsert_rows(rows, vectors)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete images."""
        self.store.delete_nodes(list(ids))

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """Fetch the vectors that are stored."""
        return self.store.vectors(ids)


def to_image_node(image: ImageRecord) -> ImageNode:
    """Build the node of an image, with its first path or URL, and the names of all."""
    first = image.paths[0]
    is_url = "://" in first
    file_name = unquote(urlsplit(first).path).rstrip("/").rsplit("/", 1)[-1] if is_url else os.path.basename(first)
    metadata: dict[str, Any] = {"file_name": file_name, **image.metadata}
    if len(image.paths) > 1:
        names = list(map(redact_url, image.paths))
        sizes = accumulate(len(name.encode()) for name in names)
        metadata["names"] = [name for name, size in zip(names, sizes, strict=True) if size <= MAX_NAMES_BYTES]
    return ImageNode(
        id_=image.id,
        image_path=None if is_url else first,
        image_url=first if is_url else None,
        text=str(image.metadata.get("title", Path(file_name).stem)),
        metadata=metadata,
    )


def open_manifest(store: ImageVectorStore, embed_model: ComposedImageEmbedding) -> Manifest:
    """Open the manifest of a collection, in its Milvus Lite folder or in the user's data folder."""
    encoder, folder = embed_model.info, store.connection.folder
    if folder is None:
        address = hashlib.sha256(store.connection.name.encode()).hexdigest()[:16]
        folder = user_data_path("mmrag", appauthor=False) / address
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}, for the record of what is indexed, cannot be made ({error.strerror}): "
            "check that you may write there, or set XDG_DATA_HOME"
        ) from error
    return Manifest(folder / f"{store.collection_name}{MANIFEST_SUFFIX}", store.identity, encoder.name, encoder.dim)


def rebuild_manifest(store: ImageVectorStore, manifest: Manifest) -> None:
    """Fill a manifest that was lost, or is on another machine, from what is stored."""
    for nodes in store.pages():
        records = [record for node in nodes for record in _file_records(node)]
        with manifest.transaction():
            for record in records:
                manifest.upsert(record)
            manifest.mark_committed(record.image_id for record in records)


def _file_records(node: BaseNode) -> Iterator[FileRecord]:
    """Read back the files of an image that `to_image_node` converted."""
    if isinstance(node, ImageNode) and re.fullmatch(r"[0-9a-f]{64}", node.node_id):
        metadata = dict(node.metadata)
        metadata.pop("file_name", None)
        # Of URLs, only the first was stored whole.
        others = [name for name in metadata.pop("names", ()) if "://" not in name]
        for path in {node.image_path or node.image_url or "", *others}:
            yield FileRecord(path, node.node_id, 0, 0, {FOLDER_SOURCE: metadata_to_json(metadata, path)})
