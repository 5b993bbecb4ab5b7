"""What one server is made of, and the two steps of a search. In: a question. Out: what was found.

Encoder, vision LLM and thumbnails each have their own line, so that results never wait for other
visitors' rerankings.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import quote

from mmrag.errors import QueryError
from mmrag.filters import parse_filter
from mmrag.images import ImagePolicy, ImageSource
from mmrag.query import Query
from mmrag.results import RankedImages
from mmrag.search import ImageSearcher
from mmrag.serving.images import Indexed, Uploads, jpeg
from mmrag.serving.metrics import Metrics
from mmrag.serving.schema import Asked, Question
from mmrag.serving.work_queue import Line

__all__ = ["Limits", "Site"]


@dataclass(frozen=True)
class Limits:
    """How much is served.

    Attributes
    ----------
    places
        Searches that may wait for the encoder, and as many for the vision LLM.
    seconds
        That each step of a search may take, waiting included.
    upload_bytes, upload_pixels
        The largest image of a visitor.
    uploads, looks
        How many images of visitors, and how many composites, are kept; the oldest go first.
    rerank
        Whether the vision LLM may be asked at all.
    """

    places: int = 8
    seconds: float = 120.0
    upload_bytes: int = 10_000_000
    upload_pixels: int = 40_000_000
    uploads: int = 64
    looks: int = 64
    rerank: bool = True


class Site:
    """A searcher, shared by everybody who asks."""

    def __init__(self, searcher: ImageSearcher, limits: Limits) -> None:
        self.searcher, self.limits = searcher, limits
        self.encoder = Line("encoder", limits.places)
        self.vision = Line("vision LLM", limits.places)
        self.drawing = Line("thumbnails", places=256, threads=2)
        self.indexed = Indexed(searcher.index.vector_store, searcher.policy)
        upload = ImagePolicy(max_bytes=limits.upload_bytes, max_pixels=limits.upload_pixels)
        self.uploads = Uploads(upload, limits.uploads)
        self.metrics = Metrics([self.encoder, self.vision, self.drawing])
        self._looks: OrderedDict[str, bytes] = OrderedDict()

    async def retrieve(self, question: Question, image: bytes | str | None) -> tuple[RankedImages, Asked]:
        """Find the nearest images to a question; keep the image that came with it.

        Raises
        ------
        QueryError, ImageError
            When the question, its filter or its image cannot be searched for.
        BusyError, TimeoutError
            When too many others ask.
        """
        if image is not None and question.image_id is not None:
            raise QueryError("the query has two images: send either `image` or `image_id`")
        if image is None and question.image_id is None and not question.text.strip():
            raise QueryError("the query is empty: give a text, an image, or both")
        filters = parse_filter(question.filter) if question.filter.strip() else None
        asked, source = await self.drawing.run(lambda: self._asked(question, image), self.limits.seconds)
        query = Query(question.text, source)
        found = await self.encoder.run(
            lambda: self.searcher.retrieve(query, top=asked.top, filters=filters), self.limits.seconds
        )
        self.metrics.retrieved(found)
        return found, asked

    async def rerank(self, found: RankedImages) -> tuple[RankedImages, list[str]]:
        """Let the vision LLM look; give also the names under which its looks are kept.

        Raises
        ------
        BusyError, TimeoutError
            When too many others ask.
        """
        reranked, looks = await self.vision.run(lambda: self._reranked(found), self.limits.seconds)
        self.metrics.reranked(reranked)
        return reranked, [self._keep(look) for look in looks]

    def look(self, name: str) -> bytes | None:
        """Find a composite that a vision LLM saw; None when it is no longer kept."""
        return self._looks.get(name)

    def close(self) -> None:
        """Stop serving, and remove what visitors brought."""
        for line in (self.encoder, self.vision, self.drawing):
            line.close()
        self.uploads.close()

    def _asked(self, question: Question, image: bytes | str | None) -> tuple[Asked, ImageSource | None]:
        id = self.uploads.keep(image) if image is not None else question.image_id
        upload = self.uploads.file(id) if id else None
        source = upload or (self.indexed.source(id) if id else None)
        folder = "uploads" if upload else "images"
        asked = Asked(
            text=question.text.strip(),
            image_id=id,
            image_url=f"/{folder}/{quote(id, safe='')}" if id else None,
            filter=question.filter.strip(),
            top=question.top or self.searcher.settings.top,
        )
        return asked, source

    def _reranked(self, found: RankedImages) -> tuple[RankedImages, list[bytes]]:
        found = self.searcher.rerank(found)
        return found, [jpeg(call.composite) for call in found.calls]

    def _keep(self, look: bytes) -> str:
        name = secrets.token_urlsafe(16)
        self._looks[name] = look
        while len(self._looks) > self.limits.looks:
            self._looks.popitem(last=False)
        return name
