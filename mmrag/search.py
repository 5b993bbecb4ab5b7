"""Image search over an open index, by the LlamaIndex engine: the one search of every surface."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from llama_index.core.schema import QueryBundle
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, ImageQueryBundle, metadata_filters

from mmrag.collections import require_collection
from mmrag.embedding import load_encoder
from mmrag.filters import Filter, Scalar
from mmrag.images import ImagePolicy, load_image
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank import Reranker, load_reranker
from mmrag.rerank.base import Candidates
from mmrag.rerank.result import RerankResult, measure
from mmrag.results import RankedImages
from mmrag.settings import Settings

__all__ = ["ImageSearcher"]


class ImageSearcher:
    """An encoder, its index and, loaded on first use, a reranker; a context manager.

    Parameters
    ----------
    settings : Settings
        Where the index is, and which models serve it.
    columns : mapping of str to type, optional
        Typed metadata fields of the collection, if it has to be created.
    """

    def __init__(self, settings: Settings, columns: Mapping[str, type[Scalar]] | None = None) -> None:
        self.settings = settings
        self.policy = ImagePolicy(hosts=settings.hosts)
        self.encoder = load_encoder(settings.model, device=settings.device)
        self.index = ComposedImageIndex.open(
            settings.db,
            ComposedImageEmbedding(encoder=self.encoder, image_policy=self.policy),
            settings.collection,
            token=settings.token.get_secret_value() or None,
            scalar_fields=columns,
        )

    @classmethod
    def open(cls, settings: Settings) -> ImageSearcher:
        """Open an existing index; the constructor would create it.

        Raises
        ------
        StoreError
            If there is no such collection, or Milvus cannot be reached.
        """
        require_collection(settings.db, settings.collection, settings.token.get_secret_value())
        return cls(settings)

    @cached_property
    def reranker(self) -> Reranker:
        """The reranker, loaded on first use: at `llm_url` if that is set, else on this machine."""
        settings = self.settings
        return load_reranker(
            settings.llm_url or settings.reranker,
            model=settings.reranker if settings.llm_url else "",
            device=settings.device,
            api_key=settings.llm_key.get_secret_value(),
            policy=self.policy,
        )

    def search(self, query: Query, *, top: int, filters: Filter | None = None, rerank: bool = True) -> RankedImages:
        """Retrieve the nearest images and, unless ``rerank`` is False, rerank them.

        Parameters
        ----------
        query : Query
            Text, image or both.
        top : int
            Number of results.
        filters : Filter, optional
            Condition on the metadata.
        rerank : bool
            Whether the reranker is called. Default: True.
        """
        found = self.retrieve(query, top=top, filters=filters)
        return self.rerank(found) if rerank and found.results else found

    def retrieve(self, query: Query, *, top: int, filters: Filter | None = None) -> RankedImages:
        """Retrieve the nearest images; parameters are those of `search`."""
        timings_ms: dict[str, float] = {}
        within = metadata_filters(filters) if filters else None
        retriever = self.index.as_retriever(similarity_top_k=top, filters=within)
        with measure(timings_ms, "encode"):
            bundle = retriever.prepare_query(query)
        with measure(timings_ms, "search"):
            nodes = retriever.retrieve(bundle)
        unknown_words = getattr(self.encoder, "unknown_words", None)
        return RankedImages.from_nodes(
            nodes,
            query=Query(query.text, bundle.image) if isinstance(bundle, ImageQueryBundle) else query,
            unknown_words=tuple(unknown_words(query.text)) if unknown_words else (),
            timings_ms=timings_ms,
            policy=self.policy,
        )

    def rerank(self, found: RankedImages) -> RankedImages:
        """Rerank retrieved images; a reranker that fails leaves them in retrieval order."""
        from llama_index.postprocessor.llvm_rerank import LLVMRerank

        query = found.query
        assert query is not None
        if query.image is None:
            bundle = QueryBundle(str(query))  # escaped: text that looks like a Markdown image stays text
        else:
            bundle = ImageQueryBundle(query.text, image=load_image(query.image, self.policy))
        recorder = _RecordingReranker(self.reranker)
        nodes = LLVMRerank(recorder).postprocess_nodes(list(found.source_nodes), bundle)
        stages = {stage: ms for stage, ms in recorder.result.timings_ms.items() if stage != "total"}
        facts = {"query": query, "unknown_words": found.unknown_words, "policy": found.policy}
        timings_ms = found.timings_ms | stages
        return RankedImages.from_nodes(nodes, **facts, timings_ms=timings_ms, calls=recorder.result.calls)

    def close(self) -> None:
        """Close the index; another process can then open it."""
        self.index.close()

    def __enter__(self) -> ImageSearcher:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class _RecordingReranker:
    """Reranker that keeps the result of its call, composites and prompts included."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker, self.arerank = reranker, reranker.arerank
        self.result = RerankResult(ranking=Ranking(order=[]), top=())

    def rerank(self, query: Query, candidates: Candidates, top_n: int | None = None) -> RerankResult:
        """Rerank, and keep the result."""
        self.result = self._reranker.rerank(query, candidates, top_n)
        return self.result
