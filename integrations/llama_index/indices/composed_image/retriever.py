"""A retriever that sees the query's image. In: a bundle or a string. Out: nodes, best first."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from llama_index.core.indices.vector_store.retrievers import VectorIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from pymilvus import MilvusException

from mmrag.errors import QueryError, StoreError
from mmrag.query import Query

__all__ = ["ComposedImageRetriever"]

REFUSED = frozenset({6, 1100})  # how Milvus Lite, and a server, refuse an expression


class ComposedImageRetriever(VectorIndexRetriever):
    """The stock retriever, except that it embeds text and image of the query together."""

    _embed_model: VisualizedBGEEmbedding

    @property
    def filters(self) -> MetadataFilters | None:
        """What must hold of every node."""
        return self._filters

    def composed(self, query_bundle: QueryBundle) -> QueryBundle:
        """Complete a bundle: take the image out of Markdown, add the joint vector, in a copy.

        A bundle that brings its own embedding is left as it is. What only looks like an image
        stays behind its backslash, so that nobody who reads the bundle again opens it.

        Raises
        ------
        QueryError
            When the bundle holds neither text nor image, or several images.
        """
        if query_bundle.embedding is not None:
            return query_bundle
        if query_bundle.image_path:
            query = Query(query_bundle.query_str, query_bundle.image_path)
        else:
            query = Query.parse(query_bundle.query_str)
        return replace(
            query_bundle,
            query_str=str(query) if query.image is None else query.text,
            image_path=query.image,
            embedding=self._vector(query, query_bundle.custom_embedding_strs),
        )

    async def acomposed(self, query_bundle: QueryBundle) -> QueryBundle:
        """Complete a bundle, without blocking the event loop."""
        return await asyncio.to_thread(self.composed, query_bundle)

    def narrowed(self, filters: MetadataFilters | None = None, at_least: int = 0) -> ComposedImageRetriever:
        """Copy this retriever: its own filters and these must hold, and more nodes may come."""
        narrow = copy.copy(self)
        if filters is not None and self._filters is not None:
            both = [self._filters, filters]
            narrow._filters = MetadataFilters(filters=[*both], condition=FilterCondition.AND)
        elif filters is not None:
            narrow._filters = filters
        narrow._similarity_top_k = max(self._similarity_top_k, at_least)
        return narrow

    def _vector(self, query: Query, other_words: list[str] | None) -> list[float]:
        if query.image is not None:
            return self._embed_model.get_composed_embedding(query.text, query.image)
        return self._embed_model.get_agg_embedding_from_queries(other_words or [query.text])

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with _comparable(self._filters):
            return super()._retrieve(self.composed(query_bundle))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with _comparable(self._filters):
            return await super()._aretrieve(await self.acomposed(query_bundle))


@contextmanager
def _comparable(filters: MetadataFilters | None) -> Generator[None]:
    """Tell who compared a number with a word so: it is no failure of Milvus."""
    try:
        yield
    except StoreError as error:
        cause = error.__cause__
        if filters is None or not isinstance(cause, MilvusException) or cause.code not in REFUSED:
            raise
        raise QueryError(
            f"the filter on {', '.join(_keys(filters))} compares a field with what it can never "
            "hold: compare numbers with numbers, and words with words"
        ) from error


def _keys(filters: MetadataFilters) -> list[str]:
    keys = [_keys(term) if isinstance(term, MetadataFilters) else [term.key] for term in filters.filters]
    return list(dict.fromkeys(key for some in keys for key in some))
