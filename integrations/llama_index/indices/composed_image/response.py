"""Response synthesizer that answers with the ranked images, without an LLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import llama_index.core.instrumentation as instrument
from llama_index.core.base.response.schema import PydanticResponse
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle

from mmrag.results import RankedImages

__all__ = ["RankedImagesResponse", "RankedImagesSynthesizer"]

dispatcher = instrument.get_dispatcher(__name__)  # pyright: ignore[reportPrivateImportUsage]


@dataclass
class RankedImagesResponse(PydanticResponse):
    """A response that prints as a list, not as JSON, and shows the images in a notebook."""

    def __str__(self) -> str:
        return str(self.response)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # a copy in progress has no response yet
            raise AttributeError(name)
        return super().__getattr__(name)

    def _repr_html_(self) -> str:
        response = self.response
        return response._repr_html_() if isinstance(response, RankedImages) else escape(str(self))


class RankedImagesSynthesizer(BaseSynthesizer):
    """Synthesizer whose response is the `RankedImages`."""

    def __init__(self, callback_manager: CallbackManager | None = None) -> None:
        super().__init__(llm=MockLLM(), callback_manager=callback_manager)  # without an llm it requires an OpenAI key

    def synthesize(
        self,
        query: str | QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RankedImagesResponse:
        """Return the nodes in their order."""
        sources = [*nodes, *(additional_source_nodes or [])]
        query_str = query if isinstance(query, str) else query.query_str
        dispatcher.event(SynthesizeStartEvent(query=query))
        with self._callback_manager.event(CBEventType.SYNTHESIZE, payload={EventPayload.QUERY_STR: query_str}) as event:
            response = RankedImagesResponse(RankedImages.from_nodes(nodes), source_nodes=sources)
            event.on_end(payload={EventPayload.RESPONSE: response})
        dispatcher.event(SynthesizeEndEvent(query=query, response=response))
        return response

    async def asynthesize(self, *args: Any, **kwargs: Any) -> RankedImagesResponse:
        """Return the nodes in their order."""
        return self.synthesize(*args, **kwargs)

    def get_response(self, query_str: str, text_chunks: Sequence[str], **kwargs: Any) -> str:
        """Return the texts as a numbered list."""
        return "\n".join(f"{i}. {text}" for i, text in enumerate(text_chunks, start=1))

    async def aget_response(self, query_str: str, text_chunks: Sequence[str], **kwargs: Any) -> str:
        """Return the texts as a numbered list."""
        return self.get_response(query_str, text_chunks, **kwargs)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        pass
