"""Reranker protocol, and the base class of rerankers that open the candidates' images."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args, runtime_checkable

import PIL.Image

from mmrag.errors import AnswerError, ImageError, MMRagError, SettingError
from mmrag.images import ImagePolicy, ImageSource, load_image
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank.result import LLMCall, RerankResult, measure

__all__ = ["Candidates", "ImageReranker", "OnFailure", "RerankRun", "Reranker"]

Candidates = Sequence[ImageSource | None]  # in retrieval order; None for a candidate without an image
OnFailure = Literal["keep_order", "raise"]  # if the model fails: keep retrieval order and report it, or raise

_log = logging.getLogger(__name__)


@runtime_checkable
class Reranker(Protocol):
    """Reranks candidates for a query; no candidate is ever lost."""

    def rerank(self, query: Query, candidates: Candidates, top_n: int | None = None) -> RerankResult:
        """Rank all candidates; ``top_n`` (1 or more, default all) only shortens ``RerankResult.top``."""
        ...

    async def arerank(self, query: Query, candidates: Candidates, top_n: int | None = None) -> RerankResult:
        """Async version of `rerank`."""
        ...


@dataclass
class RerankRun:
    """State of one reranking: the loaded images, and what its result reports."""

    query: Query
    image: PIL.Image.Image | None = None
    images: list[PIL.Image.Image | None] = field(default_factory=list[PIL.Image.Image | None])
    judged: bool = False
    calls: list[LLMCall] = field(default_factory=list[LLMCall])
    caption: str = ""
    missing: dict[int, str] = field(default_factory=dict[int, str])
    failures: list[str] = field(default_factory=list[str])
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])
    cancelled: bool = False  # set by another thread

    def check_cancelled(self) -> None:
        """Raise `AnswerError` if the caller waits no more."""
        if self.cancelled:
            raise AnswerError("the reranking was cancelled")


class ImageReranker(ABC):
    """Base class: opens each image once, ranks what could be opened, reports the rest."""

    def __init__(self, on_failure: OnFailure, policy: ImagePolicy | None) -> None:
        if on_failure not in get_args(OnFailure):
            raise SettingError(f"on_failure={on_failure!r}: use 'keep_order' or 'raise'")
        self.on_failure: OnFailure = on_failure
        self.policy = policy or ImagePolicy()

    def rerank(self, query: Query, candidates: Candidates, top_n: int | None = None) -> RerankResult:
        """Rank all candidates; ``top_n`` (1 or more, default all) only shortens ``RerankResult.top``.

        Raises `ImageError` of the query's own image, and with ``on_failure="raise"`` the model's errors.
        """
        return self._run(RerankRun(query), candidates, top_n)

    async def arerank(self, query: Query, candidates: Candidates, top_n: int | None = None) -> RerankResult:
        """Async version of `rerank`, in a worker thread; cancellation stops further calls of the model."""
        run = RerankRun(query)
        # A thread of its own: asyncio's are few, and what the model awaits may need one of them.
        pool = ThreadPoolExecutor(1, thread_name_prefix="rerank")
        try:
            context, loop = copy_context(), asyncio.get_running_loop()
            return await loop.run_in_executor(pool, lambda: context.run(self._run, run, candidates, top_n))
        finally:
            run.cancelled = True
            pool.shutdown(wait=False)

    @abstractmethod
    def _rank(self, run: RerankRun) -> Ranking:
        """Rank ``run.images``, at least one of which was loaded."""

    def _run(self, run: RerankRun, candidates: Candidates, top_n: int | None) -> RerankResult:
        if top_n is not None and top_n < 1:
            raise SettingError(f"top_n={top_n} leaves no candidate: use 1 or more")
        with measure(run.timings_ms, "total"):
            with measure(run.timings_ms, "load"):
                self._load_images(run, candidates)
            n = len(run.images)
            if len(run.missing) < n:
                ranking = self._rank(run)
            else:
                ranking = Ranking(order=list(range(1, n + 1)), repairs=["no candidate has an image"] if n else [])
        return RerankResult(
            ranking=ranking,
            top=tuple(ranking.order[:top_n]),
            judged=run.judged,
            calls=tuple(run.calls),
            caption=run.caption,
            missing=run.missing,
            failures=tuple(run.failures),
            timings_ms=run.timings_ms,
        )

    def _load_images(self, run: RerankRun, candidates: Candidates) -> None:
        if run.query.image is not None:
            run.image = load_image(run.query.image, self.policy)
            run.query = Query(run.query.text, run.image)
        for label, source in enumerate(candidates, start=1):
            run.images.append(None)
            if source is None:
                run.missing[label] = "it has no image"
                continue
            try:
                run.images[-1] = load_image(source, self.policy)
            except ImageError as error:
                run.missing[label] = str(error)

    def _record_failure(self, run: RerankRun, error: Exception, model: str) -> None:
        if self.on_failure == "raise":
            raise error
        # The message of a foreign exception may quote the prompt: only its type is reported.
        failure = str(error) if isinstance(error, MMRagError) else f"the {model} failed with {type(error).__name__}"
        _log.warning("Retrieval order kept: %s", failure)
        run.failures.append(failure)
