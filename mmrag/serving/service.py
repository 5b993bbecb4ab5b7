"""Search service of one server: retrieval, reranking and thumbnails, each behind a queue of its own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cachetools import LRUCache
from PIL import Image

from mmrag.agent_tool.image_resolver import UploadCache
from mmrag.errors import ImageError, QueryError
from mmrag.filters import parse_filter
from mmrag.images import ImagePolicy, load_image
from mmrag.images.redact import describe_source
from mmrag.query import Query
from mmrag.results import RankedImages
from mmrag.search import ImageSearcher
from mmrag.serving.images import IndexedImages, encode_image
from mmrag.serving.metrics import Metrics
from mmrag.serving.schema import ParsedQuery, SearchRequest, image_url
from mmrag.serving.work_queue import WorkQueue

__all__ = ["Limits", "SearchService"]


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes
    ----------
    queue_size : int
        Searches in flight, for the encoder and for the reranker each. Default: 8.
    timeout : float
        Seconds per step of a search, waiting included. Default: 120.
    upload_bytes, upload_pixels : int
        Largest image of a client. Default: 10 MB, 40 megapixels.
    uploads, composites : int
        Number of images of clients, and of composite images, kept in memory. Default: 64.
    rerank : bool
        Whether reranking is offered. Default: True.
    """

    queue_size: int = 8
    timeout: float = 120.0
    upload_bytes: int = 10_000_000
    upload_pixels: int = 40_000_000
    uploads: int = 64
    composites: int = 64
    rerank: bool = True


class SearchService:
    """A searcher shared by all requests."""

    def __init__(self, searcher: ImageSearcher, limits: Limits) -> None:
        self.searcher, self.limits = searcher, limits
        # three queues, so that results never wait for the rerankings of others
        self.encoder_queue = WorkQueue("encoder", limits.queue_size)
        self.reranker_queue = WorkQueue("vision LLM", limits.queue_size)
        self.image_queue = WorkQueue("thumbnails", 256, threads=2)
        self.metrics = Metrics([self.encoder_queue, self.reranker_queue, self.image_queue])
        self.images = IndexedImages(searcher.index.vector_store, searcher.policy)
        self.uploads = UploadCache(limits.uploads)
        self.composites: LRUCache[str, bytes] = LRUCache(limits.composites)
        # what a client sends is data, never the name of a file or host
        self._upload_policy = ImagePolicy(roots=(), max_bytes=limits.upload_bytes, max_pixels=limits.upload_pixels)

    async def retrieve(self, request: SearchRequest) -> tuple[RankedImages, ParsedQuery]:
        """Retrieve the nearest images, and keep the image of the request.

        Raises
        ------
        QueryError, ImageError
            If the query, its filter or its image is invalid.
        BusyError, TimeoutError
            If there are too many requests.
        """
        if request.image is not None and request.image_id is not None:
            raise QueryError("the query has two images: send either `image` or `image_id`")
        filters = parse_filter(request.filter) if request.filter.strip() else None
        query, parsed = await self.image_queue.run(lambda: self._parse(request), self.limits.timeout)
        found = await self.encoder_queue.run(
            lambda: self.searcher.retrieve(query, top=parsed.top, filters=filters), self.limits.timeout
        )
        self.metrics.record_retrieval(found)
        return found, parsed

    async def rerank(self, found: RankedImages) -> tuple[RankedImages, list[str]]:
        """Rerank retrieved images; return also the URLs of the composite images, one a call.

        Raises
        ------
        BusyError, TimeoutError
            If there are too many requests.
        """
        reranked, composites = await self.reranker_queue.run(lambda: self._rerank(found), self.limits.timeout)
        self.metrics.record_reranking(reranked)
        return reranked, [self._keep(composite) for composite in composites]

    def close(self) -> None:
        """Cancel the calls that wait."""
        for queue in (self.encoder_queue, self.reranker_queue, self.image_queue):
            queue.close()

    def _parse(self, request: SearchRequest) -> tuple[Query, ParsedQuery]:
        id, image, url = request.image_id, None, None
        if request.image is not None:
            id, image = self.uploads.add(self._load_upload(request.image))
        elif id:
            image = self.uploads.get(id)
        if id:
            url = image_url(id, "uploads" if image else "images")
            image = image or self.images.load(id)
        query = Query(request.text, image)
        top = request.top or self.searcher.settings.top
        return query, ParsedQuery(text=query.text, image_id=id, image_url=url, filter=request.filter.strip(), top=top)

    def _load_upload(self, source: str | bytes) -> Image.Image:
        try:
            return load_image(source, self._upload_policy)
        except ImageError as error:  # the client does not know it as "bytes (5000)"
            raise ImageError(str(error).replace(describe_source(source), "the query's image", 1)) from error

    def _rerank(self, found: RankedImages) -> tuple[RankedImages, list[bytes]]:
        reranked = self.searcher.rerank(found)
        return reranked, [encode_image(call.composite) for call in reranked.calls]

    def _keep(self, composite: bytes) -> str:
        name = secrets.token_urlsafe(16)
        self.composites[name] = composite
        return image_url(name, "composites")
