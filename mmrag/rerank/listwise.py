"""Listwise reranking: one composite image and one call of a vision LLM per window."""

from __future__ import annotations

from copy import copy
from statistics import fmean

import PIL.Image

from mmrag.errors import AnswerError, SettingError
from mmrag.images import ImagePolicy
from mmrag.ranking import Ranking
from mmrag.rerank.base import ImageReranker, OnFailure, RerankRun
from mmrag.rerank.captioning import CaptionCache
from mmrag.rerank.composite import compose
from mmrag.rerank.layout import MAX_CANDIDATES
from mmrag.rerank.prompts import CAPTION, RANK, Prompt
from mmrag.rerank.result import LLMCall
from mmrag.rerank.sliding_window import borda_count, permute_cells, windows
from mmrag.vision.base import VisionLLM

__all__ = ["ListwiseReranker"]


class ListwiseReranker(ImageReranker):
    """Rerank by showing a vision LLM query and candidates in one numbered composite image.

    A list longer than ``window`` is ranked by sliding windows from its end to its front.

    Parameters
    ----------
    vlm : VisionLLM
        Local or remote; its ranking config gives prompt, method and cell size.
    window : int, default 9
        Maximum number of candidates in one image, 2 to 25.
    stride : int, optional
        Distance between the starts of two windows. Default: half a window.
    caption : bool, default True
        Let the model caption the query image first, if the prompt has ``{caption}``.
    passes : int, default 1
        Calls per window, each with its cells permuted, merged by Borda count. 2 or more reduce a model's position bias.
    on_failure : {"keep_order", "raise"}, default "keep_order"
        With ``"keep_order"`` a window whose call fails keeps its order, and the result reports it.
    prompt, caption_prompt : str, optional
        Templates with the placeholders ``{query}``, ``{n}``, ``{caption}``. Default: the model's, else bundled ones.
    policy : ImagePolicy, optional
        Which candidate and query images may be read. Default: any local file.
    """

    def __init__(
        self,
        vlm: VisionLLM,
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
        super().__init__(on_failure, policy)
        if not 2 <= window <= MAX_CANDIDATES:
            raise SettingError(f"window={window} cannot be compared: use 2 to {MAX_CANDIDATES}")
        if passes < 1:
            raise SettingError(f"passes={passes} calls no model: use 1 or more")
        self.vlm, self.window, self.passes, self.caption = vlm, window, passes, caption
        self.stride = window // 2 if stride is None else stride
        windows(0, window, self.stride)  # refuses an invalid stride now, not at the first long list
        prompt = prompt or vlm.ranking_config.prompt
        self._set_prompts(
            Prompt(prompt) if prompt else Prompt.bundled(RANK),
            Prompt(caption_prompt) if caption_prompt else Prompt.bundled(CAPTION),
        )

    def with_prompts(self, prompt: str | None = None, caption_prompt: str | None = None) -> ListwiseReranker:
        """Return a copy with other prompts that shares the model; itself if none is given."""
        if prompt is None and caption_prompt is None:
            return self
        changed = copy(self)
        changed._set_prompts(
            self.prompt if prompt is None else Prompt(prompt),
            self.caption_prompt if caption_prompt is None else Prompt(caption_prompt),
        )
        return changed

    def _set_prompts(self, prompt: Prompt, caption_prompt: Prompt) -> None:
        self.prompt, self.caption_prompt = prompt, caption_prompt
        uses_caption = self.caption and prompt.has_placeholder("caption")
        self._captions = CaptionCache(self.vlm, caption_prompt) if uses_caption else None

    def _rank(self, run: RerankRun) -> Ranking:
        n = len(run.images)
        order = list(range(1, n + 1))
        latest: list[LLMCall] = []
        for start, end in windows(n, self.window, self.stride):
            latest = self._rank_window(run, order[start:end])
            if latest:
                order[start:end] = borda_count(order[start:end], [call.order for call in latest])
        run.judged = bool(run.calls)
        return Ranking(
            order=order,
            reason=next((call.ranking.reason for call in latest if call.order[0] == order[0]), ""),
            scores=_mean_scores(latest, n),
            descriptions=_descriptions(latest[-1], n) if latest else [],
            repairs=[*_repairs(run.calls), *(f"order kept: {failure}" for failure in run.failures)],
            answer=latest[-1].ranking.answer if latest else "",
        )

    def _rank_window(self, run: RerankRun, labels: list[int]) -> list[LLMCall]:
        # The unpermuted pass last, so that the last call of all shows the front in its order.
        passes = reversed(range(self.passes))
        calls = [call for index in passes if (call := self._call_llm(run, permute_cells(labels, index)))]
        run.calls += calls
        return calls

    def _call_llm(self, run: RerankRun, labels: list[int]) -> LLMCall | None:
        run.check_cancelled()
        config = self.vlm.ranking_config
        with run.timer.measure("compose"):
            composite = compose(
                run.image,
                [run.images[label - 1] for label in labels],
                cell=config.cell,
                columns=config.columns,
                query_text=run.query.text,
                min_cells=self.window,
            )
        try:
            prompt = self._format_prompt(run, len(labels), composite)
            with run.timer.measure("rank"):
                ranking = self.vlm.rank(prompt, composite, len(labels), method=config.method, describe=config.describe)
            if len(ranking.order) != len(labels):
                counts = f"{len(ranking.order)} labels for {len(labels)} candidates"
                raise AnswerError(f"{type(self.vlm).__name__}.rank returned {counts}: it must rank each once")
        except Exception as error:  # a model may raise anything, and no candidate may get lost
            self._record_failure(run, error, "vision LLM")
            return None
        return LLMCall(tuple(labels), composite, prompt, ranking)

    def _format_prompt(self, run: RerankRun, n: int, composite: PIL.Image.Image) -> str:
        if self._captions is not None and run.image is not None and not run.caption:
            with run.timer.measure("caption"):
                run.caption = self._captions.caption(run.image, composite)
        return self.prompt.format(query=run.query.text, n=n, caption=run.caption)


def _mean_scores(calls: list[LLMCall], n: int) -> list[float]:
    """Average the scores of each label; empty unless each call scored all candidates."""
    if not calls or any(len(call.ranking.scores) != n for call in calls):
        return []
    by_label = [dict(zip(call.labels, call.ranking.scores, strict=True)) for call in calls]
    return [fmean(scores[label] for scores in by_label) for label in range(1, n + 1)]


def _descriptions(call: LLMCall, n: int) -> list[str]:
    """Sort the descriptions by label; empty unless all candidates were described."""
    if len(call.ranking.descriptions) != n:
        return []
    return [text for _, text in sorted(zip(call.labels, call.ranking.descriptions, strict=True))]


def _repairs(calls: list[LLMCall]) -> list[str]:
    if len(calls) == 1:
        return calls[0].ranking.repairs
    return [f"call {number}: {repair}" for number, call in enumerate(calls, start=1) for repair in call.ranking.repairs]
