"""The images as a response, without any LLM. In: nodes, best first. Out: `RankedImages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath
from typing import Any

import llama_index.core.instrumentation as instrument
from llama_index.core.base.response.schema import PydanticResponse
from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.embeddings.composed_image.image_sources import node_image_path

from mmrag.images.encode import img_tag, thumbnail
from mmrag.images.redact import redact_url

__all__ = ["RankedImage", "RankedImages", "RankedImagesResponse", "RankedImagesSynthesizer"]

dispatcher = instrument.get_dispatcher(__name__)  # pyright: ignore[reportPrivateImportUsage]

RERANKED = "llvm_rerank"  # where `LLVMRerank` keeps what it found out about a node
TILE = 136  # pixels: nine in two rows of a notebook


class RankedImage(BaseModel):
    """One image of an answer.

    Attributes
    ----------
    id, path, title
        Which image; ``path`` is a URL when the image has no file.
    rank
        Its place in the answer, from 1.
    retrieval_rank, retrieval_score
        Its place and cosine similarity before any reranking; 0 where the retriever gave none.
    rerank_score, reason
        What the reranker gave it, and said about it; None and empty without a reranker.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    path: str
    title: str
    rank: int
    retrieval_rank: int
    retrieval_score: float
    rerank_score: float | None = None
    reason: str = ""


class RankedImages(BaseModel):
    """The images of an answer, best first.

    Attributes
    ----------
    timings
        Milliseconds by stage, as far as a reranker told them.
    repairs
        What had to be mended in the reranker's answer.
    """

    model_config = ConfigDict(frozen=True)

    items: list[RankedImage] = Field(default_factory=list)
    timings: dict[str, float] = Field(default_factory=dict)
    repairs: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, nodes: Sequence[NodeWithScore]) -> RankedImages:
        """Read an answer out of retrieved, and perhaps reranked, nodes."""
        reranked = nodes[0].node.metadata.get(RERANKED, {}) if nodes else {}
        return cls(
            items=[_item(rank, node) for rank, node in enumerate(nodes, start=1)],
            timings=reranked.get("timings_ms", {}),
            repairs=reranked.get("repairs", []),
        )

    def __str__(self) -> str:
        return "\n".join(_line(item) for item in self.items) or "No image found."

    def _repr_html_(self) -> str:
        tiles = "".join(map(_tile, self.items)) or "No image found."
        said = [*(item.reason for item in self.items[:1]), *self.repairs]
        lines = "".join(f"<p>{escape(line)}</p>" for line in said if line)
        return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{tiles}</div>{lines}'


@dataclass
class RankedImagesResponse(PydanticResponse):
    """A response whose text is the readable list, not JSON; in a notebook, the images."""

    def __str__(self) -> str:
        return str(self.response)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of a copy under way, which has no response yet
            raise AttributeError(name)
        return super().__getattr__(name)

    def _repr_html_(self) -> str:
        answer = self.response
        return answer._repr_html_() if isinstance(answer, RankedImages) else escape(str(self))


class RankedImagesSynthesizer(BaseSynthesizer):
    """Answers with the images themselves."""

    def __init__(self, callback_manager: CallbackManager | None = None) -> None:
        # never called; without any, the base class would ask for an OpenAI key
        super().__init__(llm=MockLLM(), callback_manager=callback_manager)

    def synthesize(
        self,
        query: str | QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RankedImagesResponse:
        """List the nodes in their order."""
        sources = [*nodes, *(additional_source_nodes or [])]
        asked = query if isinstance(query, str) else query.query_str
        dispatcher.event(SynthesizeStartEvent(query=query))
        with self._callback_manager.event(CBEventType.SYNTHESIZE, payload={EventPayload.QUERY_STR: asked}) as event:
            response = RankedImagesResponse(RankedImages.of(nodes), source_nodes=sources)
            event.on_end(payload={EventPayload.RESPONSE: response})
        dispatcher.event(SynthesizeEndEvent(query=query, response=response))
        return response

    async def asynthesize(
        self,
        query: str | QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RankedImagesResponse:
        """List the nodes in their order."""
        return self.synthesize(query, nodes, additional_source_nodes, **response_kwargs)

    def get_response(self, query_str: str, text_chunks: Sequence[str], **kwargs: Any) -> str:
        """List the texts by number."""
        return "\n".join(f"{i}. {text}" for i, text in enumerate(text_chunks, start=1))

    async def aget_response(self, query_str: str, text_chunks: Sequence[str], **kwargs: Any) -> str:
        """List the texts by number."""
        return self.get_response(query_str, text_chunks, **kwargs)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        pass


def _item(rank: int, found: NodeWithScore) -> RankedImage:
    node, facts = found.node, found.node.metadata
    reranked = facts.get(RERANKED, {})
    path = node_image_path(node)
    name = PurePath(redact_url(path)).stem
    return RankedImage(
        id=node.node_id,
        path=path,
        title=str(facts.get("title") or name or node.get_content()[:80]),
        rank=rank,
        retrieval_rank=facts.get("retrieval_rank", rank),
        retrieval_score=facts.get("retrieval_score", found.score) or 0.0,
        rerank_score=reranked.get("score"),
        reason=reranked.get("reason", ""),
    )


def _tile(item: RankedImage) -> str:
    was = "" if item.rank == item.retrieval_rank else f", was {item.retrieval_rank}"
    return (
        f'<figure style="width: {TILE}px; margin: 0" title="{escape(redact_url(item.path))}">'
        f"{img_tag(thumbnail(item.path, TILE), item.title)}"
        f"<figcaption><b>{item.rank}</b>{was} · {item.retrieval_score:.3f}<br>"
        f"{escape(item.title)}</figcaption></figure>"
    )


def _line(item: RankedImage) -> str:
    place = redact_url(item.path)
    line = f"{item.rank}. {item.title} ({place}), similarity {item.retrieval_score:.3f}"
    return f"{line}: {item.reason}" if item.reason else line
