"""LlamaIndex postprocessor that reranks image nodes with a vision LLM."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import llama_index.core.instrumentation as instrument
from llama_index.core.base.llms.types import ChatMessage, ContentBlock, ImageBlock, TextBlock
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import LLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.embeddings.composed_image.image_sources import node_image
from llama_index.llms.phi3_vision import Phi3VisionLLM

from mmrag.errors import QueryError, SettingError
from mmrag.images import ImagePolicy, ImageSource
from mmrag.query import Query
from mmrag.rerank import ListwiseReranker, OnFailure, Reranker, RerankResult
from mmrag.rerank.composite import draw_text
from mmrag.results import RESULT_KEYS
from mmrag.vision.base import VisionLLM
from mmrag.vision.remote.instructor import InstructorVision

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

__all__ = ["LLVMRerank", "LlamaIndexChatClient"]

Nodes = list[NodeWithScore]
Model = LLM | VisionLLM | Reranker

# Event loop of the async caller, if any: `achat` is awaited there while the reranker's thread waits.
caller_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("caller_loop", default=None)
dispatcher = instrument.get_dispatcher(__name__)  # pyright: ignore[reportPrivateImportUsage]


class LLVMRerank(BaseNodePostprocessor):
    """Rerank retrieved images with a large language-vision model; no node is ever lost.

    Returns a copy of each node whose metadata has ``retrieval_rank``, ``retrieval_score`` and ``llvm_rerank``: a dict
    of ``rank``, ``score`` (None if the model gave none), ``judged`` (False if it judged no node), ``reason`` (of the
    first), ``description``, ``caption``, ``repaired``, ``repairs``, ``failures``, ``missing`` (why its image could not
    be loaded), ``timings_ms``. The node's score is the model's, else the retriever's.

    Parameters
    ----------
    llm : LLM, VisionLLM or Reranker
        A `Phi3VisionLLM` or another LlamaIndex LLM that reads images, an `mmrag` vision LLM, or a ready reranker, of
        which only the prompts can be changed here.
    top_n : int, optional
        Maximum number of nodes to return. Default: all.
    window, stride, passes, caption, on_failure
        As in `mmrag.ListwiseReranker`.
    rank_prompt, caption_prompt : str, optional
        Templates with the placeholders ``{query}``, ``{n}``, ``{caption}``.
    image_policy : ImagePolicy, optional
        Which images of nodes and queries may be opened. Default: any local file, and no URL.
    """

    model_config = ConfigDict(extra="forbid")

    top_n: int | None = Field(default=None, gt=0, description="Maximum number of nodes to return.")
    window: int = Field(default=9, description="Maximum number of candidates in one image.")
    stride: int | None = Field(default=None, description="Distance between the starts of two windows.")
    passes: int = Field(default=1, description="Calls per window, each with its cells permuted.")
    caption: bool = Field(default=True, description="Let the model caption the query image first.")
    on_failure: OnFailure = Field(default="keep_order", description="What to do if the model fails.")
    rank_prompt: str | None = Field(default=None, description="Template of the ranking prompt.")
    caption_prompt: str | None = Field(default=None, description="Template of the caption prompt.")
    image_policy: ImagePolicy = Field(default_factory=ImagePolicy, exclude=True, description="Images to be opened.")
    # Private, because a component drops fields that it cannot serialize or pickle.
    _llm: Model = PrivateAttr()
    _cached_reranker: tuple[dict[str, Any], Reranker] | None = PrivateAttr(default=None)

    def __init__(self, llm: Model, **fields: Any) -> None:
        super().__init__(**fields)
        self._llm = llm
        if not isinstance(llm, Phi3VisionLLM):  # which loads its weights on first use
            _ = self.reranker  # refuses invalid settings now

    @classmethod
    def class_name(cls) -> str:
        """Return the name of the class in serialized form."""
        return "LLVMRerank"

    def __getstate__(self) -> dict[str, Any]:
        return {"llm": self._llm, "fields": {**self.__dict__}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        LLVMRerank.__init__(self, state["llm"], **state["fields"])

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LLVMRerank:
        return self.model_copy()  # of its settings: models and clients are shared

    @property
    def reranker(self) -> Reranker:
        """The reranker over the LLM; built on first use, and again if a setting has changed."""
        names = ("window", "stride", "passes", "caption", "on_failure", "caption_prompt")
        settings = {name: getattr(self, name) for name in names}
        settings |= {"prompt": self.rank_prompt, "policy": self.image_policy}
        if self._cached_reranker is None or self._cached_reranker[0] != settings:
            self._cached_reranker = settings, _make_reranker(self._llm, settings)
        return self._cached_reranker[1]

    def _get_prompts(self) -> PromptDictType:
        reranker = self.reranker
        if not isinstance(reranker, ListwiseReranker):
            return {}
        prompts = {"rank_prompt": reranker.prompt, "caption_prompt": reranker.caption_prompt}
        return {name: PromptTemplate(prompt.template) for name, prompt in prompts.items()}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        for name in {"rank_prompt", "caption_prompt"} & prompts.keys():
            setattr(self, name, prompts[name].get_template())

    def _postprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        with self._rerank_events(nodes, query_bundle) as returned:
            if nodes:
                result = self.reranker.rerank(query_from_bundle(query_bundle), candidate_images(nodes), self.top_n)
                returned += _apply_ranking(nodes, result)
        return returned

    async def _apostprocess_nodes(self, nodes: Nodes, query_bundle: QueryBundle | None = None) -> Nodes:
        with self._rerank_events(nodes, query_bundle) as returned:
            if nodes:
                # In a thread, as this may load a model.
                reranker, images = await asyncio.to_thread(lambda: (self.reranker, candidate_images(nodes)))
                token = caller_loop.set(asyncio.get_running_loop())
                try:
                    result = await reranker.arerank(query_from_bundle(query_bundle), images, self.top_n)
                finally:
                    caller_loop.reset(token)
                returned += _apply_ranking(nodes, result)
        return returned

    @contextmanager
    def _rerank_events(self, nodes: Nodes, query: QueryBundle | None) -> Generator[Nodes]:
        """Emit start and end events in both of LlamaIndex's event systems, the end on every exit."""
        returned: Nodes = []
        top_n, model = self.top_n or len(nodes), _model_name(self._llm)
        dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top_n, model_name=model))
        payload: dict[str, Any] = {EventPayload.NODES: nodes, EventPayload.MODEL_NAME: model, EventPayload.TOP_K: top_n}
        payload[EventPayload.QUERY_STR] = query.query_str if query else ""
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            try:
                yield returned
            finally:
                event.on_end(payload={EventPayload.NODES: returned})
                dispatcher.event(ReRankEndEvent(nodes=returned))


@dataclass(frozen=True)
class LlamaIndexChatClient:
    """``create`` function for `mmrag.InstructorVision`, answered by ``llm``."""

    llm: LLM

    def __call__(self, *, messages: Sequence[Mapping[str, Any]], **settings: Any) -> ChatCompletion:
        """Chat once; settings such as ``max_tokens`` are dropped, as each LLM names them differently."""
        from openai.types.chat import ChatCompletion, ChatCompletionMessage
        from openai.types.chat.chat_completion import Choice

        chat = [_chat_message(message) for message in messages]
        loop = caller_loop.get()
        if loop is None:
            response = self.llm.chat(chat)
        else:
            response = asyncio.run_coroutine_threadsafe(self.llm.achat(chat), loop).result()
        message = ChatCompletionMessage(role="assistant", content=response.message.content or "")
        choice, name = Choice(index=0, finish_reason="stop", message=message), self.llm.metadata.model_name
        return ChatCompletion(id="llama-index", object="chat.completion", created=0, model=name, choices=[choice])


def candidate_images(nodes: Nodes) -> list[ImageSource | None]:
    """Return the image of each node, else its text drawn as one, else None."""
    return [
        node_image(found.node) or (draw_text(text) if (text := found.node.get_content().strip()) else None)
        for found in nodes
    ]


def query_from_bundle(bundle: QueryBundle | None) -> Query:
    """Build the query of a bundle; without ``image_path``, from the Markdown image in its string."""
    if bundle is None:
        raise QueryError("LLVMRerank ranks for a query: pass query_bundle or query_str")
    image = getattr(bundle, "image", None) or bundle.image_path  # an `ImageQueryBundle` has decoded it already
    return Query(bundle.query_str, image) if image else Query.parse(bundle.query_str)


def _make_reranker(llm: Model, settings: dict[str, Any]) -> Reranker:
    if isinstance(llm, ListwiseReranker):
        return llm.with_prompts(settings["prompt"], settings["caption_prompt"])
    if isinstance(llm, Reranker):
        if settings["prompt"] or settings["caption_prompt"]:
            raise SettingError(f"{type(llm).__name__} uses no prompts: leave out rank_prompt and caption_prompt")
        return llm
    if isinstance(llm, Phi3VisionLLM):
        llm = llm.vision
    elif isinstance(llm, LLM):
        llm = InstructorVision(LlamaIndexChatClient(llm))
    return ListwiseReranker(llm, **settings)


def _model_name(llm: Model) -> str:
    if isinstance(llm, LLM):
        return llm.metadata.model_name
    model = getattr(llm, "vlm", None) or getattr(llm, "scorer", None) or llm  # what a reranker of ours calls
    return str(getattr(model, "name", type(model).__name__))


def _apply_ranking(nodes: Nodes, result: RerankResult) -> Nodes:
    """Copy the top nodes in their new order; the caller's nodes stay unchanged."""
    ranking = result.ranking
    reranked: Nodes = []
    for rank, label in enumerate(result.top, start=1):
        node, retrieval_score = nodes[label - 1].node, nodes[label - 1].score
        score = ranking.scores[label - 1] if ranking.scores else None
        metadata = {
            # of an earlier reranker, if there was one
            "retrieval_rank": node.metadata.get("retrieval_rank", label),
            "retrieval_score": node.metadata.get("retrieval_score", retrieval_score),
            "llvm_rerank": {
                "rank": rank,
                "score": score,
                "judged": result.judged,
                "reason": ranking.reason if rank == 1 else "",
                "description": ranking.descriptions[label - 1] if ranking.descriptions else "",
                "caption": result.caption,
                "repaired": bool(ranking.repairs),
                "repairs": list(ranking.repairs),
                "failures": list(result.failures),
                "missing": result.missing.get(label, ""),
                "timings_ms": dict(result.timings_ms),
            },
        }
        excluded = {
            key: list(dict.fromkeys([*getattr(node, key), *RESULT_KEYS]))
            for key in ("excluded_llm_metadata_keys", "excluded_embed_metadata_keys")
        }
        copy = node.model_copy(update={"metadata": node.metadata | metadata, **excluded})
        reranked.append(NodeWithScore(node=copy, score=retrieval_score if score is None else score))
    return reranked


def _chat_message(message: Mapping[str, Any]) -> ChatMessage:
    content = message["content"]
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks: list[ContentBlock] = []
    for part in parts:
        if part["type"] == "text":
            blocks.append(TextBlock(text=part["text"]))
        else:
            header, _, data = part["image_url"]["url"].partition(",")
            mimetype = header.removeprefix("data:").removesuffix(";base64")
            blocks.append(ImageBlock(image=base64.b64decode(data), image_mimetype=mimetype))
    return ChatMessage(role=message["role"], blocks=blocks)
