"""Search an index, step by step. In: settings, then queries. Out: what was found, then reranked.

The command line, the page and the tools for agents all search through here.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, metadata_filters
from llama_index.indices.composed_image.collections import see_shelf

from mmrag.embedding import VisualizedBGE
from mmrag.filters import Filter, Scalar
from mmrag.images import ImagePolicy, load_image
from mmrag.query import Query
from mmrag.results import Found, Hit
from mmrag.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmrag.rerank import ListwiseReranker
    from mmrag.vision import VisionLLM

__all__ = ["Searcher", "vision_llm"]


class Searcher:
    """An encoder, its index and, once it is asked for, a vision LLM; a context manager.

    Parameters
    ----------
    settings
        Where the index is, and which models serve it.
    columns
        Typed fields to make when the collection is made.
    """

    def __init__(self, settings: Settings, columns: Mapping[str, type[Scalar]] | None = None) -> None:
        self.settings = settings
        self.policy = ImagePolicy(hosts=settings.hosts)
        self.encoder = VisualizedBGE.from_pretrained(settings.model, device=settings.device)
        self.index = ComposedImageIndex.open(
            settings.db,
            VisualizedBGEEmbedding(encoder=self.encoder, image_policy=self.policy),
            settings.collection,
            token=settings.token.get_secret_value() or None,
            scalar_fields=columns,
        )

    @classmethod
    def open(cls, settings: Settings) -> Searcher:
        """Open an index that is there already; the constructor would make it.

        Raises
        ------
        StoreError
            When it is not there, or Milvus cannot be reached.
        """
        see_shelf(settings.db, settings.collection, settings.token.get_secret_value())
        return cls(settings)

    @cached_property
    def reranker(self) -> ListwiseReranker:
        """The vision LLM, loaded when it is first needed."""
        from mmrag.rerank import ListwiseReranker

        return ListwiseReranker(vision_llm(self.settings), policy=self.policy)

    def search(self, query: Query, *, top: int, filters: Filter | None = None, rerank: bool = True) -> Found:
        """Retrieve, and let the vision LLM put the best first unless ``rerank`` is off."""
        found = self.retrieve(query, top=top, filters=filters)
        return self.rerank(found) if rerank and found.hits else found

    def retrieve(self, query: Query, *, top: int, filters: Filter | None = None) -> Found:
        """Find the nearest images; the encoder and Milvus are timed."""
        if query.image is not None:
            query = Query(query.text, load_image(query.image, self.policy))
        clock = _Clock()
        vector = self.encoder.encode([query])[0].tolist()
        clock.stop("encode")
        retriever = self.index.as_retriever(
            similarity_top_k=top, filters=metadata_filters(filters) if filters else None
        )
        nodes = retriever.retrieve(QueryBundle(query.text, embedding=vector))
        clock.stop("search")
        return Found(
            query=query,
            hits=tuple(map(_hit, nodes)),
            timings_ms=clock.timings_ms,
            unknown_words=tuple(self.encoder.unknown_words(query.text)),
            policy=self.policy,
        )

    def rerank(self, found: Found) -> Found:
        """Let the vision LLM look at what was found, and put the best first."""
        reranked = self.reranker.rerank(found.query, [hit.image or None for hit in found.hits])
        stages = {stage: ms for stage, ms in reranked.timings_ms.items() if stage != "total"}
        return replace(found, reranked=reranked, timings_ms=dict(found.timings_ms) | stages)

    def close(self) -> None:
        """Let go of the index; another process can then open it."""
        self.index.close()

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def vision_llm(settings: Settings) -> VisionLLM:
    """Load the vision LLM: the one behind `llm_url` when that is set, else one on this machine."""
    from mmrag.vision import InstructorVision, Phi3Vision

    if settings.llm_url:
        key = settings.llm_key.get_secret_value()
        return InstructorVision.from_openai(base_url=settings.llm_url, model=settings.reranker, api_key=key)
    return Phi3Vision.from_pretrained(settings.reranker, device=settings.device)


def _hit(found: NodeWithScore) -> Hit:
    node = found.node
    image = (node.image_path or node.image_url) if isinstance(node, ImageNode) else None
    return Hit(node.node_id, image or "", float(found.score or 0.0), dict(node.metadata))


class _Clock:
    """Milliseconds of each stage, in order."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings_ms[stage] = 1000 * (now - self._last)
        self._last = now
