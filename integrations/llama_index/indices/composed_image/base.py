"""LlamaIndex index of images that is searched by text, by an image, or by both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.data_structs import IndexDict
from llama_index.core.indices.vector_store import VectorStoreIndex
from llama_index.core.llms.utils import LLMType, resolve_llm
from llama_index.core.schema import BaseNode
from llama_index.core.storage.storage_context import StorageContext
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.indices.composed_image.indexing import MilvusImageStore, open_manifest, rebuild_manifest
from llama_index.indices.composed_image.query_engine import ComposedImageQueryEngine
from llama_index.indices.composed_image.response import RankedImagesSynthesizer
from llama_index.indices.composed_image.retriever import ComposedImageRetriever
from llama_index.indices.composed_image.vector_store import ImageVectorStore, ScalarType, milvus_store

from mmrag.errors import AnswerError, SettingError
from mmrag.images import ImagePolicy
from mmrag.indexing import Entries, Folder, ImageEntry, IndexReport, Metadata, SourceLike, index_source

__all__ = ["ComposedImageIndex"]


class ComposedImageIndex(VectorStoreIndex, AbstractContextManager["ComposedImageIndex", None]):
    """A `VectorStoreIndex` of images, searched by a sentence, an image, or both.

    Examples
    --------
    >>> index = ComposedImageIndex.open("catalog.db", embed_model)  # doctest: +SKIP
    >>> print(index.add_folder("photos"))  # doctest: +SKIP
    900 files in 12.1 s: 900 new
    >>> engine = index.as_query_engine(similarity_top_k=9)  # doctest: +SKIP
    >>> engine.query("phone case with this ![](leopard.jpg)")  # doctest: +SKIP
    """

    _embed_model: ComposedImageEmbedding
    _vector_store: ImageVectorStore

    @classmethod
    def open(
        cls,
        uri: str | os.PathLike[str],
        embed_model: ComposedImageEmbedding,
        collection: str = "images",
        *,
        token: str | None = None,
        scalar_fields: Mapping[str, ScalarType] | None = None,
        index_type: str | None = None,
        **kwargs: Any,
    ) -> ComposedImageIndex:
        """Open or create an index.

        Parameters
        ----------
        uri, collection, token, scalar_fields, index_type
            As for `milvus_store`.
        embed_model : ComposedImageEmbedding
            The encoder; the same one each time the index is opened.
        **kwargs
            Passed to `VectorStoreIndex`.
        """
        encoder, columns = embed_model.info, scalar_fields
        store = milvus_store(
            uri, collection, encoder.dim, model=encoder.name, token=token, scalar_fields=columns, index_type=index_type
        )
        context = StorageContext.from_defaults(vector_store=store)
        return cls(nodes=[], embed_model=embed_model, storage_context=context, **kwargs)

    @property
    def vector_store(self) -> ImageVectorStore:
        """The vector store, a `MilvusVectorStore`."""
        return self._vector_store

    def add_folder(
        self,
        source: SourceLike,
        *,
        metadata: Metadata | None = None,
        sync: bool = False,
        verify: bool = False,
        policy: ImagePolicy | None = None,
        show_progress: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with a folder, a table, a pattern, or image entries.

        Parameters
        ----------
        source : str, path, Source or iterable of ImageEntry
            ``"photos/"``, ``"shop.csv"``, ``"photos/**/*.jpg"``, or entries.
        metadata : callable or mapping, optional
            Metadata of a folder's files: a function of the path, or a mapping by relative path.
        sync, verify, policy, on_progress
            As for `mmrag.indexing.index_source`.
        show_progress : bool, default False
            Show a progress bar.

        Returns
        -------
        IndexReport
            Counts, and the skipped files with their reasons.
        """
        if metadata is not None:
            if not isinstance(source, (str, os.PathLike)):
                raise SettingError("metadata belong to a folder's files: give a folder, or ImageEntry(path, metadata)")
            source = Folder(source, metadata)
        with open_manifest(self._vector_store, self._embed_model) as manifest, manifest.lock():
            if manifest.count() == (0, 0):
                rebuild_manifest(self._vector_store, manifest)
            return index_source(
                source,
                manifest,
                MilvusImageStore(self._vector_store),
                self._embed_model.get_image_embedding_batch,
                sync=sync,
                verify=verify,
                policy=policy,
                on_progress=on_progress or (_progress_bar() if show_progress else None),
            )

    def add_images(self, entries: Iterable[ImageEntry], name: str = "", **options: Any) -> IndexReport:
        """Bring the index up to date with image entries.

        Parameters
        ----------
        entries : iterable of ImageEntry
            Paths or URLs, with metadata.
        name : str, optional
            Name of the list, the same each time; ``sync=True`` needs one.
        **options
            As for `add_folder`.
        """
        return self.add_folder(Entries(entries, name), **options)

    def add(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Embed nodes, image nodes by their image, upsert them, and return their ids."""
        return self._vector_store.add(self._get_node_with_embedding(nodes))

    def delete(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, ids: str | Sequence[str], **delete_kwargs: Any
    ) -> None:
        """Delete images from the index; their files stay."""
        ids = [ids] if isinstance(ids, str) else list(ids)
        with open_manifest(self._vector_store, self._embed_model) as manifest, manifest.lock():
            manifest.delete_images(ids)
            self.delete_nodes(ids, **delete_kwargs)
            manifest.mark_committed(ids)

    def as_retriever(self, **kwargs: Any) -> ComposedImageRetriever:
        """Build a retriever; keywords are those of `VectorIndexRetriever`."""
        return ComposedImageRetriever(
            self, callback_manager=self._callback_manager, object_map=self._object_map, **kwargs
        )

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Build a query engine; without an ``llm`` it answers with the ranked images themselves.

        Keywords are those of `RetrieverQueryEngine.from_args` and of `VectorIndexRetriever`.
        """
        retriever = self.as_retriever(**kwargs)
        if llm is not None or "response_mode" in kwargs:
            llm = llm if llm is None else resolve_llm(llm, self._callback_manager)
            return ComposedImageQueryEngine.from_args(retriever, llm=llm, **kwargs)
        if kwargs.get("streaming"):
            raise AnswerError(
                "ranked images come all at once: leave streaming out, or give an llm that "
                "answers about them (multimodal=True shows it the images)"
            )
        return ComposedImageQueryEngine(
            retriever,
            kwargs.get("response_synthesizer") or RankedImagesSynthesizer(self._callback_manager),
            kwargs.get("node_postprocessors"),
            self._callback_manager,
        )

    def close(self) -> None:
        """Release the collection; another process can then open a Lite folder."""
        self._vector_store.close()

    def __exit__(self, *failure: object) -> None:
        self.close()

    def build_index_from_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> IndexDict:
        """Index nodes, also those of an image without words, which the base class skips."""
        return self._build_index_from_nodes(nodes, **insert_kwargs)

    def _get_node_with_embedding(self, nodes: Sequence[BaseNode], show_progress: bool = False) -> list[BaseNode]:
        copies = [node.model_copy() for node in nodes]
        self._embed_model([node for node in copies if node.embedding is None], show_progress=show_progress)
        return copies

    async def _aget_node_with_embedding(self, nodes: Sequence[BaseNode], show_progress: bool = False) -> list[BaseNode]:
        return await asyncio.to_thread(self._get_node_with_embedding, nodes, show_progress)


def _progress_bar() -> Callable[[int, int], None]:
    from tqdm.auto import tqdm

    bar = tqdm(desc="Indexing", unit="file")

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show
