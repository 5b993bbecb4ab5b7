"""Search service of one server: retrieval, reranking and thumbnails, each behind a queue of its own."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cachetools import LRUCache
from llama_index.indices.composed_image import ImageVectorStore
from PIL import Image

from mmrag.agent_tool.image_resolver import UploadCache, find_image_node
from mmrag.errors import ImageError, QueryError
from mmrag.filters import parse_filter
from mmrag.images import ImagePolicy, load_image
from mmrag.images.encode import thumbnail
from mmrag.images.redact import describe_source
from mmrag.query import Query
from mmrag.results import RankedImages
from mmrag.search import ImageSearcher
from mmrag.serving.metrics import Metrics
from mmrag.serving.schema import ParsedQuery, SearchRequest, image_url
from mmrag.serving.work_queue import WorkQueue

__all__ = ["IndexedImages", "Limits", "SearchService", "encode_image"]


@dataclass(frozen=True)
class Limits:
    """Limits of a server, and whether it reranks."""

    queue_size: int = 8  # searches in flight, for the encoder and for the reranker each
    timeout: float = 120.0  # seconds per step of a search, waiting included
    upload_bytes: int = 10_000_000  # largest image of a client
    upload_pixels: int = 40_000_000
    uploads: int = 64  # images of clients kept in memory
    composites: int = 64  # composite images kept in memory
    rerank: bool = True


class SearchService:
    """A searcher shared by all requests; a full queue raises BusyError, a slow step TimeoutError."""

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
        """Retrieve the nearest images, and keep the image of the request; invalid ones raise Query- or ImageError."""
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
        """Rerank retrieved images; return also the URLs of the composite images, one a call."""
        reranked, composites = await self.reranker_queue.run(lambda: self._rerank(found), self.limits.timeout)
        self.metrics.record_reranking(reranked)
        names = [secrets.token_urlsafe(16) for _ in composites]
        self.composites.update(zip(names, composites, strict=True))
        return reranked, [image_url(name, "composites") for name in names]

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


class IndexedImages:
    """The images of an index by their ids; no path comes from outside."""

    def __init__(self, store: ImageVectorStore, policy: ImagePolicy, max_thumbnails: int = 512) -> None:
        self._store, self._policy = store, policy
        self.thumbnail = lru_cache(max_thumbnails)(self._thumbnail)

    def load(self, id: str) -> Image.Image:
        """Load an indexed image; ImageError if no image has this id, or it cannot be read."""
        node = find_image_node(self._store, id)
        if node is None:
            raise ImageError(f"no image with the id {id!r} is indexed or kept: search for it again, or send it again")
        return load_image(node.image_path or node.image_url or "", self._policy)

    def sample(self, n: int) -> list[tuple[str, str]]:
        """Return ids and titles of a few images, as examples to start from."""
        store: Any = self._store
        rows = store.client.query(store.collection_name, filter="", limit=n, output_fields=["id", "text"])
        return [(str(row["id"]), str(row["text"])) for row in rows]

    def _thumbnail(self, id: str, side: int) -> bytes:
        return encode_image(thumbnail(self.load(id), side))


def encode_image(image: Image.Image, format: str = "JPEG") -> bytes:
    """Encode an image as JPEG, or as PNG with its transparency."""
    buffer = io.BytesIO()
    if format == "JPEG":
        image.convert("RGB").save(buffer, format, quality=85, optimize=True)
    else:
        image.save(buffer, format, compress_level=1)
    return buffer.getvalue()
