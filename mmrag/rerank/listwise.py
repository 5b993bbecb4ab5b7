"""Rerank by looking. In: a query and candidate images. Out: the same candidates, best first.

One composite image and one call of the vision LLM for each window; no candidate can get lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Literal, get_args

import PIL.Image

from mmrag.errors import AnswerError, ImageError, MMRagError, SettingError
from mmrag.images import ImagePolicy, ImageSource, load_image
from mmrag.query import Query
from mmrag.ranking import Ranking, ranking_from_labels
from mmrag.rerank.captioning import Captions
from mmrag.rerank.composite import compose
from mmrag.rerank.layout import LARGEST_LIST
from mmrag.rerank.prompts import CAPTION, RANK, Prompt
from mmrag.rerank.result import Look, Reranked, Stopwatch
from mmrag.rerank.sliding_window import borda, shuffled, windows
from mmrag.vision.base import VisionLLM

__all__ = ["ListwiseReranker", "OnFailure"]

OnFailure = Literal["keep_order", "raise"]
"""What to do when the vision LLM fails: keep retrieval order and say so, or raise."""

_log = logging.getLogger(__name__)


class ListwiseReranker:
    """Let a vision LLM put retrieved images in order.

    Parameters
    ----------
    llvm
        Local or remote; its recipe says how it is asked and how large the cells are.
    window
        Most candidates in one image, 2 to 25.
    stride
        How far apart the windows of a longer list start; half a window when not given.
    caption
        Let the model describe the query's image first, and tell it again in the prompt.
    passes
        Looks at each window with its cells permuted, merged by Borda count: 2 or more weigh
        against a model's liking for certain cells.
    on_failure
        ``"keep_order"``: a window that fails keeps its order, which the result tells. ``"raise"``.
    prompt, caption_prompt
        Other wordings, with the places ``{wish}``, ``{n}``, ``{caption}``.
    policy
        Which candidate and query images may be read.
    """

    def __init__(
        self,
        llvm: VisionLLM,
        *,
        window: int = 9,
        stride: int | None = None,
        caption: bool = True,
        passes: int = 1,
        on_failure: OnFailure = "keep_order",
        prompt: str | None = None,
        caption_prompt: str | None = None,
        policy: ImagePolicy | None = None,
    ) -> None:
        if not 2 <= window <= LARGEST_LIST:
            raise SettingError(f"window={window} cannot be compared: use 2 to {LARGEST_LIST}")
        if passes < 1:
            raise SettingError(f"passes={passes} looks at nothing: use 1 or more")
        if on_failure not in get_args(OnFailure):
            raise SettingError(f"on_failure={on_failure!r}: use 'keep_order' or 'raise'")
        self.llvm = llvm
        self.window = window
        self.stride = window // 2 if stride is None else stride
        windows(0, window, self.stride)  # a bad stride is told now, not at the first long list
        self.passes = passes
        self.on_failure: OnFailure = on_failure
        self.prompt = _prompt(prompt or llvm.recipe.prompt, RANK)
        self.caption_prompt = _prompt(caption_prompt, CAPTION)
        self.policy = policy or ImagePolicy()
        self.caption = caption
        # A prompt without a place for the caption needs none, and nobody waits for it.
        asks = caption and self.prompt.wants("caption")
        self.captions = Captions(llvm, self.caption_prompt) if asks else None

    def reworded(self, prompt: str | None = None, caption_prompt: str | None = None) -> ListwiseReranker:
        """Make the same reranker with other wordings; without any, it is this one."""
        if prompt is None and caption_prompt is None:
            return self
        return ListwiseReranker(
            self.llvm,
            window=self.window,
            stride=self.stride,
            caption=self.caption,
            passes=self.passes,
            on_failure=self.on_failure,
            prompt=prompt or self.prompt.template,
            caption_prompt=caption_prompt or self.caption_prompt.template,
            policy=self.policy,
        )

    def rerank(self, query: Query, candidates: Sequence[ImageSource | None], top_n: int | None = None) -> Reranked:
        """Rank all candidates; ``top_n`` only shortens `Reranked.top`.

        Parameters
        ----------
        query
            What is wanted.
        candidates
            In retrieval order. One that cannot be loaded stays in the list, shown as missing.
        top_n
            At least 1; more than there are means all.

        Raises
        ------
        ImageError
            When the query's own image cannot be loaded.
        AnswerError
            When the vision LLM fails and ``on_failure="raise"``.
        """
        return _Run(self, query, candidates, top_n).result()

    async def arerank(
        self, query: Query, candidates: Sequence[ImageSource | None], top_n: int | None = None
    ) -> Reranked:
        """Do as `rerank`, in a thread: the event loop goes on. Once cancelled, it asks no more."""
        run = await asyncio.to_thread(_Run, self, query, candidates, top_n)
        # A thread of its own: asyncio's are few, and what the model awaits may need one of them.
        pool = ThreadPoolExecutor(1, thread_name_prefix="rerank")
        try:
            loop, context = asyncio.get_running_loop(), copy_context()
            return await loop.run_in_executor(pool, context.run, run.result)
        finally:
            run.wanted = False
            pool.shutdown(wait=False)


class _Run:
    """One reranking under way."""

    def __init__(
        self, reranker: ListwiseReranker, query: Query, candidates: Sequence[ImageSource | None], top_n: int | None
    ) -> None:
        if top_n is not None and top_n < 1:
            raise SettingError(f"top_n={top_n} leaves no candidate: use 1 or more")
        self.reranker, self.query, self.top_n = reranker, query, top_n
        self.wanted = True
        self.watch = Stopwatch()
        self.looks: list[Look] = []
        self.caption = ""
        self.failures: list[str] = []
        self.missing: dict[int, str] = {}
        with self.watch.stage("total"), self.watch.stage("load"):
            image = query.image
            self.image = None if image is None else load_image(image, reranker.policy)
            self.images = [self._load(*pair) for pair in enumerate(candidates, 1)]

    def result(self) -> Reranked:
        with self.watch.stage("total"):
            ranking = self._ranking()
        return Reranked(
            ranking=ranking,
            top=tuple(ranking.order[: self.top_n]),
            looks=tuple(self.looks),
            caption=self.caption,
            missing=self.missing,
            failures=tuple(self.failures),
            milliseconds=self.watch.milliseconds,
        )

    def _ranking(self) -> Ranking:
        n = len(self.images)
        if len(self.missing) == n:
            return Ranking(order=[*range(1, n + 1)], repairs=["no image to look at"] if n else [])
        order = [*range(1, n + 1)]
        latest: list[Look] = []
        for start, end in windows(n, self.reranker.window, self.reranker.stride):
            latest = self._looks_at(order[start:end])
            if latest:
                order[start:end] = borda(order[start:end], [look.order for look in latest])
        return ranking_from_labels(order, n).model_copy(
            update={
                "reason": _reason(latest, order[0]),
                "scores": _scores(latest, n),
                "descriptions": _descriptions(latest, n),
                "repairs": [*_repairs(self.looks), *(f"order kept: {f}" for f in self.failures)],
                "answer": latest[-1].ranking.answer if latest else "",
            }
        )

    def _looks_at(self, labels: list[int]) -> list[Look]:
        # The straight order last, so that the last look of all shows the front as it was found.
        passes = reversed(range(self.reranker.passes))
        looks = [look for p in passes if (look := self._look(shuffled(labels, p)))]
        self.looks += looks
        return looks

    def _look(self, labels: list[int]) -> Look | None:
        if not self.wanted:
            raise AnswerError("nobody waits for this ranking any more")
        recipe = self.reranker.llvm.recipe
        with self.watch.stage("compose"):
            composite = compose(
                self.image,
                [self.images[label - 1] for label in labels],
                cell=recipe.cell,
                columns=recipe.columns,
                query_text=self.query.text,
                places=self.reranker.window,
            )
        try:
            prompt = self._prompt(len(labels), composite)
            with self.watch.stage("rank"):
                ranking = self.reranker.llvm.rank(
                    prompt, composite, len(labels), method=recipe.method, describe=recipe.describe
                )
            if len(ranking.order) != len(labels):
                raise AnswerError(
                    f"{type(self.reranker.llvm).__name__}.rank returned {len(ranking.order)} "
                    f"labels for {len(labels)} candidates: it must rank each once"
                )
        except Exception as error:  # a model may raise anything, and no candidate may get lost
            self._failed(error)
            return None
        return Look(tuple(labels), composite, prompt, ranking)

    def _prompt(self, n: int, composite: PIL.Image.Image) -> str:
        captions = self.reranker.captions
        if captions is not None and self.image is not None and not self.caption:
            with self.watch.stage("caption"):
                self.caption = captions.of(self.image, composite)
        return self.reranker.prompt.fill(wish=self.query.text, n=n, caption=self.caption)

    def _failed(self, error: Exception) -> None:
        if self.reranker.on_failure == "raise":
            raise error
        # A stranger's message may quote the prompt: only its type is told.
        ours = isinstance(error, MMRagError)
        fault = str(error) if ours else f"the vision LLM failed with {type(error).__name__}"
        _log.warning("A window keeps its order: %s", fault)
        self.failures.append(fault)

    def _load(self, label: int, source: ImageSource | None) -> PIL.Image.Image | None:
        if source is None:
            self.missing[label] = "it has no image"
            return None
        try:
            return load_image(source, self.reranker.policy)
        except ImageError as error:
            self.missing[label] = str(error)
            return None


def _prompt(wording: str | None, bundled: str) -> Prompt:
    return Prompt.bundled(bundled) if wording is None else Prompt(wording)


def _reason(looks: Iterable[Look], best: int) -> str:
    """Take the reason of a look that found the same best; another one would praise another."""
    return next((look.ranking.reason for look in looks if look.order[:1] == [best]), "")


def _scores(looks: list[Look], n: int) -> list[float]:
    """Average the scores of the looks; only where each look saw, and scored, all candidates."""
    scored = [look.scores for look in looks]
    if not scored or any(len(scores) != n for scores in scored):
        return []
    return [sum(scores[label] for scores in scored) / len(scored) for label in range(1, n + 1)]


def _descriptions(looks: list[Look], n: int) -> list[str]:
    described = looks[-1].descriptions if looks else {}
    return [described[label] for label in range(1, n + 1)] if len(described) == n else []


def _repairs(looks: list[Look]) -> list[str]:
    if len(looks) == 1:
        return looks[0].ranking.repairs
    return [f"look {k}: {fault}" for k, look in enumerate(looks, 1) for fault in look.ranking.repairs]
