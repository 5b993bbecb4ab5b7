"""LlamaIndex's reranker for images. In: nodes and a query. Out: the same nodes, best first."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import llama_index.core.instrumentation as instrument
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import LLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.llms.phi3_vision import Phi3VisionLLM
from llama_index.postprocessor.llvm_rerank.client import LlamaIndexCreate, event_loop
from llama_index.postprocessor.llvm_rerank.images import query_of, shown

from mmrag.images import ImagePolicy
from mmrag.rerank import ListwiseReranker, OnFailure, Reranked
from mmrag.vision.base import VisionLLM
from mmrag.vision.remote.instructor import InstructorVision

__all__ = ["LLVMRerank"]

dispatcher = instrument.get_dispatcher(__name__)  # pyright: ignore[reportPrivateImportUsage]

_TOLD = ["llvm_rerank", "retrieval_score", "retrieval_rank"]


class LLVMRerank(BaseNodePostprocessor):
    """Let a large language-vision model put retrieved images in order; none is ever lost.

    Each node comes back as a copy whose metadata holds ``retrieval_rank``, ``retrieval_score`` and
    ``llvm_rerank``: ``rank``, ``score`` (None where the model gave none), ``reason`` (of the best),
    ``repaired``, ``repairs``, ``missing`` (why its image could not be shown), ``milliseconds``.
    Its score is the model's, or stays the retriever's where the model gave none.

    Parameters
    ----------
    llm
        A `Phi3VisionLLM`, any other LlamaIndex `LLM` that reads images, an `mmrag` vision LLM, or
        a ready `mmrag.ListwiseReranker`, of which only the wordings can be changed here.
    top_n
        Most nodes to return; all when not given.
    window, stride, passes, caption, on_failure
        As in `mmrag.ListwiseReranker`.
    rank_prompt, caption_prompt
        Other wordings, with the places ``{wish}``, ``{n}``, ``{caption}``.
    image_policy
        Which images of nodes and queries may be opened: by default any local file, and no URL.

    Examples
    --------
    >>> from llama_index.core.schema import TextNode
    >>> from mmrag.testing import MockVision, reversing
    >>> rerank = LLVMRerank(llm=MockVision(reversing()), top_n=2)
    >>> nodes = [NodeWithScore(node=TextNode(text=text)) for text in ("a bag", "a mug", "a hat")]
    >>> [n.node.text for n in rerank.postprocess_nodes(nodes, query_str="something to wear")]
    ['a hat', 'a mug']
    """

    top_n: int | None = Field(default=None, gt=0, description="Most nodes to return.")
    window: int = Field(default=9, description="Most candidates in one image.")
    stride: int | None = Field(default=None, description="Distance of the windows' starts.")
    passes: int = Field(default=1, description="Looks at each window, its cells permuted.")
    caption: bool = Field(default=True, description="Let the model describe the query first.")
    on_failure: OnFailure = Field(default="keep_order", description="When the model fails.")
    rank_prompt: str | None = Field(default=None, description="Other wording for the ranking.")
    caption_prompt: str | None = Field(default=None, description="Other wording for the caption.")
    image_policy: ImagePolicy = Field(
        default_factory=ImagePolicy, exclude=True, description="What may be opened as an image."
    )
    # Private, because a component drops fields that it cannot serialize or pickle.
    _llm: LLM | VisionLLM | ListwiseReranker = PrivateAttr()
    _made: tuple[dict[str, Any], ListwiseReranker] | None = PrivateAttr(default=None)

    def __init__(self, llm: LLM | VisionLLM | ListwiseReranker, **fields: Any) -> None:
        super().__init__(**fields)
        self._llm = llm
        if not isinstance(llm, Phi3VisionLLM):  # that one loads weights: not before they are needed
            _ = self.reranker  # impossible settings are told now

    @classmethod
    def class_name(cls) -> str:
        """Name the class in serialized form."""
        return "LLVMRerank"

    def __getstate__(self) -> dict[str, Any]:
        return {"llm": self._llm, "fields": {**self.__dict__}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        LLVMRerank.__init__(self, state["llm"], **state["fields"])

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LLVMRerank:
        return self.model_copy()  # of its settings: models and clients are shared

    @property
    def reranker(self) -> ListwiseReranker:
        """The algorithm, over the LLM; made on first use, and again when a setting has changed."""
        settings: dict[str, Any] = {
            "window": self.window,
            "stride": self.stride,
            "passes": self.passes,
            "caption": self.caption,
            "on_failure": self.on_failure,
            "prompt": self.rank_prompt,
            "caption_prompt": self.caption_prompt,
            "policy": self.image_policy,
        }
        if self._made is None or self._made[0] != settings:
            self._made = settings, _reranker_of(self._llm, settings)
        return self._made[1]

    def _get_prompts(self) -> PromptDictType:
        return {
            "rank_prompt": PromptTemplate(self.reranker.prompt.template),
            "caption_prompt": PromptTemplate(self.reranker.caption_prompt.template),
        }

    def _update_prompts(self, prompts: PromptDictType) -> None:
        if "rank_prompt" in prompts:
            self.rank_prompt = prompts["rank_prompt"].get_template()
        if "caption_prompt" in prompts:
            self.caption_prompt = prompts["caption_prompt"].get_template()

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        with self._told(nodes, query_bundle) as returned:
            if nodes:
                images = [shown(found.node) for found in nodes]
                result = self.reranker.rerank(query_of(query_bundle), images, self.top_n)
                returned += _reordered(nodes, result)
        return returned

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        with self._told(nodes, query_bundle) as returned:
            if nodes:
                reranker = await asyncio.to_thread(lambda: self.reranker)
                images = await asyncio.to_thread(lambda: [shown(n.node) for n in nodes])
                token = event_loop.set(asyncio.get_running_loop())
                try:
                    result = await reranker.arerank(query_of(query_bundle), images, self.top_n)
                finally:
                    event_loop.reset(token)
                returned += _reordered(nodes, result)
        return returned

    @contextmanager
    def _told(self, nodes: list[NodeWithScore], query: QueryBundle | None) -> Generator[list[NodeWithScore]]:
        """Tell both of LlamaIndex's event systems the start, and the end on every way out."""
        top_n, model = self.top_n or len(nodes), _model_name(self._llm)
        dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top_n, model_name=model))
        returned: list[NodeWithScore] = []
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: model,
            EventPayload.QUERY_STR: query.query_str if query else "",
            EventPayload.TOP_K: top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            try:
                yield returned
            finally:
                event.on_end(payload={EventPayload.NODES: returned})
                dispatcher.event(ReRankEndEvent(nodes=returned))


def _reranker_of(llm: LLM | VisionLLM | ListwiseReranker, settings: dict[str, Any]) -> ListwiseReranker:
    if isinstance(llm, ListwiseReranker):
        return llm.reworded(settings["prompt"], settings["caption_prompt"])
    return ListwiseReranker(_vision_llm(llm), **settings)


def _vision_llm(llm: LLM | VisionLLM) -> VisionLLM:
    if isinstance(llm, Phi3VisionLLM):
        return llm.vision
    if isinstance(llm, LLM):
        return InstructorVision(LlamaIndexCreate(llm))
    return llm


def _model_name(llm: LLM | VisionLLM | ListwiseReranker) -> str:
    if isinstance(llm, LLM):
        return llm.metadata.model_name
    model = llm.llvm if isinstance(llm, ListwiseReranker) else llm
    return str(getattr(model, "name", type(model).__name__))


def _reordered(nodes: Sequence[NodeWithScore], result: Reranked) -> list[NodeWithScore]:
    """Copy the top nodes in their new order; what the caller holds stays as it was."""
    ranking = result.ranking
    reordered: list[NodeWithScore] = []
    for rank, label in enumerate(result.top, start=1):
        found = nodes[label - 1]
        before = found.node.metadata
        score = ranking.scores[label - 1] if ranking.scores else None
        told = {
            # of an earlier reranker, where there was one: it knew what the retriever gave
            "retrieval_rank": before.get("retrieval_rank", label),
            "retrieval_score": before.get("retrieval_score", found.score),
            "llvm_rerank": {
                "rank": rank,
                "score": score,
                "reason": ranking.reason if rank == 1 else "",
                "repaired": bool(ranking.repairs),
                "repairs": list(ranking.repairs),
                "missing": result.missing.get(label, ""),
                "milliseconds": dict(result.milliseconds),
            },
        }
        node = found.node.model_copy(
            update={
                "metadata": before | told,
                "excluded_llm_metadata_keys": _and_told(found.node.excluded_llm_metadata_keys),
                "excluded_embed_metadata_keys": _and_told(found.node.excluded_embed_metadata_keys),
            }
        )
        reordered.append(NodeWithScore(node=node, score=found.score if score is None else score))
    return reordered


def _and_told(excluded: list[str]) -> list[str]:
    # facts for programs: no text for the next LLM, nor for an embedding
    return list(dict.fromkeys([*excluded, *_TOLD]))
