"""Images as a LlamaIndex index. In: a folder, later queries. Out: images, ranked."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.data_structs import IndexDict
from llama_index.core.indices.vector_store import VectorStoreIndex
from llama_index.core.llms.utils import LLMType, resolve_llm
from llama_index.core.schema import BaseNode
from llama_index.core.storage.storage_context import StorageContext
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.indices.composed_image.indexing import MilvusShelf, open_manifest
from llama_index.indices.composed_image.query_engine import ComposedImageQueryEngine
from llama_index.indices.composed_image.response import RankedImagesSynthesizer
from llama_index.indices.composed_image.retriever import ComposedImageRetriever
from llama_index.indices.composed_image.vector_store import ImageStore, ScalarType, milvus_store

from mmrag.errors import AnswerError
from mmrag.images import ImagePolicy
from mmrag.indexing import IndexReport, Listing, Metadata, index_folder, index_listing
from mmrag.indexing.manifest import Manifest
from mmrag.indexing.pipeline import Embed

__all__ = ["ComposedImageIndex"]


class ComposedImageIndex(VectorStoreIndex):
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
    _vector_store: ImageStore

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
        """Open an index, or make it.

        Parameters
        ----------
        uri, collection, token, scalar_fields, index_type
            Where it lives, as for `milvus_store`.
        embed_model
            The encoder; the same one each time the index is opened.
        **kwargs
            Handed to `VectorStoreIndex`.
        """
        store = milvus_store(
            uri,
            collection,
            embed_model.info.dim,
            model=embed_model.info.name,
            token=token,
            scalar_fields=scalar_fields,
            index_type=index_type,
        )
        context = StorageContext.from_defaults(vector_store=store)
        return cls(nodes=[], embed_model=embed_model, storage_context=context, **kwargs)

    @property
    def vector_store(self) -> ImageStore:
        """The store, a `MilvusVectorStore`."""
        return self._vector_store

    def add_folder(
        self,
        folder: str | os.PathLike[str],
        *,
        metadata: Metadata | None = None,
        sync: bool = False,
        verify: bool = False,
        policy: ImagePolicy | None = None,
        show_progress: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with a folder; see `mmrag.indexing.index_folder`."""
        with self._filling() as where:
            return index_folder(
                Path(folder),
                *where,
                metadata=metadata,
                sync=sync,
                verify=verify,
                policy=policy,
                on_progress=on_progress or (_progress_bar() if show_progress else None),
            )

    def add_listing(
        self,
        listing: Listing,
        *,
        sync: bool = False,
        verify: bool = False,
        policy: ImagePolicy | None = None,
        show_progress: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> IndexReport:
        """Bring the index up to date with a list; see `mmrag.indexing.index_listing`."""
        with self._filling() as where:
            return index_listing(
                listing,
                *where,
                sync=sync,
                verify=verify,
                policy=policy,
                on_progress=on_progress or (_progress_bar() if show_progress else None),
            )

    def add(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Embed nodes, image nodes by their image, and upsert them; their ids come back."""
        return self._vector_store.add(self._get_node_with_embedding(nodes))

    def delete(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, ids: str | Sequence[str], **delete_kwargs: Any
    ) -> None:
        """Remove images from the index; their files are left alone."""
        ids = [ids] if isinstance(ids, str) else list(ids)
        with open_manifest(self._vector_store, self._embed_model) as manifest, manifest.alone():
            manifest.forget(ids)
            self.delete_nodes(ids, **delete_kwargs)
            manifest.settle(ids)

    def as_retriever(self, **kwargs: Any) -> ComposedImageRetriever:
        """Make a retriever; keywords are those of `VectorIndexRetriever`."""
        return ComposedImageRetriever(
            self, callback_manager=self._callback_manager, object_map=self._object_map, **kwargs
        )

    def as_query_engine(self, llm: LLMType | None = None, **kwargs: Any) -> BaseQueryEngine:
        """Make a query engine; without an ``llm`` it answers with the ranked images themselves.

        Keywords are those of `RetrieverQueryEngine.from_args` and of `VectorIndexRetriever`.
        """
        retriever = self.as_retriever(**kwargs)
        if llm is not None or "response_mode" in kwargs:
            llm = resolve_llm(llm, self._callback_manager) if llm is not None else None
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
        """Let go of the collection; a Lite folder can then be opened by another process."""
        self._vector_store.close()

    def __enter__(self) -> ComposedImageIndex:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @contextmanager
    def _filling(self) -> Generator[tuple[Manifest, MilvusShelf, Embed]]:
        shelf, embed = MilvusShelf(self._vector_store), self._embed_model.get_image_embedding_batch
        with open_manifest(self._vector_store, self._embed_model) as manifest, manifest.alone():
            if manifest.count() == (0, 0):
                shelf.recall(manifest)
            yield manifest, shelf, embed

    def build_index_from_nodes(self, nodes: Sequence[BaseNode], **insert_kwargs: Any) -> IndexDict:
        """Index nodes, also those of an image without words, which the base class skips."""
        return self._build_index_from_nodes(nodes, **insert_kwargs)

    def _get_node_with_embedding(self, nodes: Sequence[BaseNode], show_progress: bool = False) -> list[BaseNode]:
        copies = [node.model_copy() for node in nodes]
        to_embed = [node for node in copies if node.embedding is None]
        self._embed_model(to_embed, show_progress=show_progress)
        return copies

    async def _aget_node_with_embedding(self, nodes: Sequence[BaseNode], show_progress: bool = False) -> list[BaseNode]:
        copies = [node.model_copy() for node in nodes]
        to_embed = [node for node in copies if node.embedding is None]
        await self._embed_model.acall(to_embed, show_progress=show_progress)
        return copies


def _progress_bar() -> Callable[[int, int], None]:
    from tqdm.auto import tqdm

    bar = tqdm(desc="Indexing", unit="file")

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show
