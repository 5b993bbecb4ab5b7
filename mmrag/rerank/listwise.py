"""Listwise reranking: one composite image and one call of a vision LLM per window."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from statistics import fmean
from threading import Lock
from typing import TYPE_CHECKING, Any

import PIL.Image
from cachetools import LRUCache

from mmrag.errors import AnswerError, SettingError
from mmrag.images import ImagePolicy, content_hash
from mmrag.ranking import Ranking
from mmrag.rerank.base import ImageReranker, OnFailure, Reranker, RerankRun
from mmrag.rerank.composite import MAX_CANDIDATES, compose
from mmrag.rerank.prompts import CAPTION, RANK, Prompt
from mmrag.rerank.result import LLMCall, measure
from mmrag.vision.base import Message, VisionLLM

if TYPE_CHECKING:
    import torch

__all__ = ["ListwiseReranker", "borda_count", "load_reranker", "permute_cells", "windows"]

MAX_CAPTION_CHARACTERS = 400
MAX_CAPTION_TOKENS = 80

_captions_lock = Lock()  # of all rerankers: a lock in an instance could not be pickled


class ListwiseReranker(ImageReranker):
    """Rerank by showing a vision LLM query and candidates in one numbered composite image.

    A list longer than ``window`` is ranked by sliding windows from its end to its front (RankGPT, Sun et al. 2023).

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
        self.prompt = Prompt(prompt) if prompt else Prompt.bundled(RANK)
        self.caption_prompt = Prompt(caption_prompt) if caption_prompt else Prompt.bundled(CAPTION)
        self._captions: LRUCache[str, str] = LRUCache(256)  # by content of the query image

    def __getstate__(self) -> dict[str, Any]:  # a copy or another process starts without captions
        return self.__dict__ | {"_captions": LRUCache(self._captions.maxsize)}

    def with_prompts(self, prompt: str | None = None, caption_prompt: str | None = None) -> ListwiseReranker:
        """Return a copy with other prompts that shares the model; itself if none is given."""
        if prompt is None and caption_prompt is None:
            return self
        changed = copy(self)
        changed.prompt = self.prompt if prompt is None else Prompt(prompt)
        changed.caption_prompt = self.caption_prompt if caption_prompt is None else Prompt(caption_prompt)
        return changed

    def _rank(self, run: RerankRun) -> Ranking:
        n = len(run.images)
        order = list(range(1, n + 1))
        latest: list[LLMCall] = []
        for start, end in windows(n, self.window, self.stride):
            labels = order[start:end]
            # The unpermuted pass last, so that the last call of all shows the front in its order.
            calls = [self._call_llm(run, permute_cells(labels, index)) for index in reversed(range(self.passes))]
            latest = [call for call in calls if call]
            run.calls += latest
            order[start:end] = borda_count(labels, [call.order for call in latest])
        run.judged = bool(run.calls)
        return Ranking(
            order=order,
            reason=next((call.ranking.reason for call in latest if call.order[0] == order[0]), ""),
            scores=_mean_scores(latest, n),
            descriptions=_descriptions(latest[-1], n) if latest else [],
            repairs=[*_repairs(run.calls), *(f"order kept: {failure}" for failure in run.failures)],
            answer=latest[-1].ranking.answer if latest else "",
        )

    def _call_llm(self, run: RerankRun, labels: list[int]) -> LLMCall | None:
        run.check_cancelled()
        config, text, n = self.vlm.ranking_config, run.query.text, len(labels)
        images = [run.images[label - 1] for label in labels]
        with measure(run.timings_ms, "compose"):
            composite = compose(
                run.image, images, cell=config.cell, columns=config.columns, query_text=text, min_cells=self.window
            )
        try:
            if run.image is not None and not run.caption and self.caption and self.prompt.has_placeholder("caption"):
                with measure(run.timings_ms, "caption"):
                    run.caption = self._caption(run.image, composite)
            prompt = self.prompt.format(query=text, n=n, caption=run.caption)
            with measure(run.timings_ms, "rank"):
                ranking = self.vlm.rank(prompt, composite, n, method=config.method, describe=config.describe)
            if len(ranking.order) != n:
                counts = f"{len(ranking.order)} labels for {n} candidates"
                raise AnswerError(f"{type(self.vlm).__name__}.rank returned {counts}: it must rank each once")
        except Exception as error:  # a model may raise anything, and no candidate may get lost
            self._record_failure(run, error, "vision LLM")
            return None
        return LLMCall(tuple(labels), composite, prompt, ranking)

    def _caption(self, image: PIL.Image.Image, composite: PIL.Image.Image) -> str:
        key = content_hash(image)
        with _captions_lock:
            caption = self._captions.get(key)
        if caption is None:
            # With the composite: a local model encodes it for the ranking anyway, and keeps its prefix cache.
            messages: list[Message] = [{"role": "user", "content": self.caption_prompt.format()}]
            answer = self.vlm.chat(messages, [composite], max_new_tokens=MAX_CAPTION_TOKENS)
            caption = " ".join(answer.split())[:MAX_CAPTION_CHARACTERS]
            with _captions_lock:
                self._captions[key] = caption
        return caption


def load_reranker(
    name_or_folder_or_url: str | Path,
    *,
    model: str = "",
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    api_key: str = "",
    timeout: float = 60.0,
    **settings: Any,
) -> Reranker:
    """Load a vision LLM by its name, the folder of its checkpoint or the address of its server, and rerank with it.

    Parameters
    ----------
    name_or_folder_or_url : str or Path
        ``"demo"`` (bundled), a Phi-3 Vision name such as ``"microsoft/Phi-3.5-vision-instruct"``, a folder in its
        published layout, or an OpenAI-compatible address such as ``"http://localhost:8000/v1"``.
    model : str
        Name of the model at the server; needed with an address, unused without.
    device, dtype : optional
        Of a local model. Default: the fastest device; bfloat16 on a GPU, float32 on a CPU.
    api_key, timeout : optional
        Of a server; ``timeout`` in seconds.
    **settings
        Keywords of `ListwiseReranker`, for instance ``window`` or ``policy``.
    """
    from mmrag.vision import InstructorVision, Phi3Vision

    name = str(name_or_folder_or_url)
    if not name.startswith(("http://", "https://")):
        return ListwiseReranker(Phi3Vision.from_pretrained(name, device=device, dtype=dtype), **settings)
    if not model:
        raise SettingError("an address needs the name of a model there: load_reranker(address, model='Qwen/…')")
    vlm = InstructorVision.from_openai(base_url=name, model=model, api_key=api_key, timeout=timeout)
    return ListwiseReranker(vlm, **settings)


def windows(n: int, window: int, stride: int) -> list[tuple[int, int]]:
    """Split positions 0..n into overlapping spans, the last one first: the best of all moves to the front in one run.

    Examples
    --------
    >>> windows(20, window=9, stride=4)
    [(11, 20), (7, 16), (3, 12), (0, 8)]
    """
    if not 1 <= stride <= window:
        raise SettingError(f"a stride of {stride} with windows of {window} leaves gaps: use 1 to {window}")
    ends = range(n, window, -stride)  # of the full windows behind the first one
    first = (0, n - stride * len(ends))
    return [*((end - window, end) for end in ends), *([first] if n else [])]


def borda_count(labels: Sequence[int], orders: Sequence[Sequence[int]]) -> list[int]:
    """Merge several orders of ``labels`` by their mean rank; ties, and all without orders, keep their order.

    Examples
    --------
    >>> borda_count([1, 2, 3], [[1, 2, 3], [3, 1, 2]])
    [1, 3, 2]
    """
    return sorted(labels, key=lambda label: sum(order.index(label) for order in orders))


def permute_cells(labels: Sequence[int], pass_index: int) -> list[int]:
    """Permute the labels of a window: pass 0 as given, 1 reversed, further ones by a fixed shuffle."""
    if pass_index < 2:
        return list(labels[:: -1 if pass_index else 1])
    return random.Random(pass_index).sample(labels, len(labels))


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
