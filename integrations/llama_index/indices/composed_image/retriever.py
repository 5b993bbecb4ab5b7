"""Retriever that embeds text and image of a query together."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from dataclasses_json import config
from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from PIL import Image
from pymilvus import MilvusException

from mmrag.errors import QueryError, StoreError
from mmrag.images import load_image
from mmrag.query import Query

__all__ = ["ComposedImageRetriever", "ImageQueryBundle"]

REFUSED_FILTER_CODES = frozenset({6, 1100})  # of Milvus Lite, and of a server


@dataclass
class ImageQueryBundle(QueryBundle):
    """A `QueryBundle` that carries its image, so that it is read, checked and decoded once.

    Attributes
    ----------
    image : PIL.Image.Image, optional
        The decoded image; `image_path` keeps where it came from, if it has a path.
    """

    image: Image.Image | None = field(default=None, repr=False, compare=False, metadata=config(exclude=lambda _: True))


class ComposedImageRetriever(VectorIndexRetriever):
    """The stock retriever, except that it embeds text and image of the query together."""

    _embed_model: ComposedImageEmbedding

    @property
    def filters(self) -> MetadataFilters | None:
        """Metadata filters that every retrieved node fulfils."""
        return self._filters

    def prepare_query(self, query: QueryBundle | Query) -> QueryBundle:
        """Load the image of a query and embed it with the text; an embedded bundle is returned as it is.

        Parameters
        ----------
        query : QueryBundle or Query
            In a bundle without ``image_path``, the text may hold one Markdown image.

        Returns
        -------
        QueryBundle
            A copy with embedding and decoded image. Text that only looks like a Markdown image is
            escaped, so that no later reader opens it.

        Raises
        ------
        QueryError
            If there is neither text nor image, or more than one image.
        ImageError
            If the image cannot be loaded.
        """
        if isinstance(query, Query):
            bundle = QueryBundle(query.text)
        elif query.embedding is not None:
            return query
        else:
            bundle = query
            query = Query(bundle.query_str, bundle.image_path) if bundle.image_path else Query.parse(bundle.query_str)
        if query.image is None:
            texts = bundle.custom_embedding_strs or [query.text]
            embedding = self._embed_model.get_agg_embedding_from_queries(texts)
            return replace(bundle, query_str=str(query), embedding=embedding)
        image = load_image(query.image, self._embed_model.image_policy)
        return ImageQueryBundle(
            query.text,
            image_path=os.fspath(query.image) if isinstance(query.image, (str, os.PathLike)) else None,
            embedding=self._embed_model.get_composed_embedding(query.text, image),
            image=image,
        )

    async def aprepare_query(self, query: QueryBundle | Query) -> QueryBundle:
        """Run `prepare_query` in a worker thread."""
        return await asyncio.to_thread(self.prepare_query, query)

    def with_filters(self, filters: MetadataFilters | None = None, min_top_k: int = 0) -> ComposedImageRetriever:
        """Copy this retriever with additional filters, and a top k of at least ``min_top_k``."""
        narrowed = copy.copy(self)
        if filters is not None and self._filters is not None:
            narrowed._filters = MetadataFilters(filters=[self._filters, filters], condition=FilterCondition.AND)
        elif filters is not None:
            narrowed._filters = filters
        narrowed._similarity_top_k = max(self._similarity_top_k, min_top_k)
        return narrowed

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with _translate_filter_errors(self._filters):
            return super()._retrieve(self.prepare_query(query_bundle))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with _translate_filter_errors(self._filters):
            return await super()._aretrieve(await self.aprepare_query(query_bundle))


@contextmanager
def _translate_filter_errors(filters: MetadataFilters | None) -> Generator[None]:
    """Raise Milvus type errors caused by the filter as `QueryError`."""
    try:
        yield
    except StoreError as error:
        cause = error.__cause__
        if filters is None or not isinstance(cause, MilvusException) or cause.code not in REFUSED_FILTER_CODES:
            raise
        raise QueryError(
            f"the filter on {', '.join(dict.fromkeys(_filter_keys(filters)))} compares a field with what it can "
            "never hold: compare numbers with numbers, and words with words"
        ) from error


def _filter_keys(filters: MetadataFilters) -> Generator[str]:
    for term in filters.filters:
        if isinstance(term, MetadataFilters):
            yield from _filter_keys(term)
        else:
            yield term.key
