"""Query engine that hands the image of a query to retriever and postprocessors."""

from __future__ import annotations

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts.mixin import PromptDictType, PromptMixin, PromptMixinType
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.indices.composed_image.retriever import ComposedImageRetriever

__all__ = ["ComposedImageQueryEngine"]


class ComposedImageQueryEngine(RetrieverQueryEngine):
    """A `RetrieverQueryEngine` whose postprocessors get the image of the query, also of a Markdown string."""

    _retriever: ComposedImageRetriever

    def with_retriever(self, retriever: BaseRetriever) -> RetrieverQueryEngine:
        """Copy this engine with another retriever."""
        if not isinstance(retriever, ComposedImageRetriever):
            return super().with_retriever(retriever)
        return ComposedImageQueryEngine(
            retriever, self._response_synthesizer, self._node_postprocessors, self.callback_manager
        )

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Retrieve and postprocess."""
        return super().retrieve(self._retriever.prepare_query(query_bundle))

    async def aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Retrieve and postprocess asynchronously."""
        return await super().aretrieve(await self._retriever.aprepare_query(query_bundle))

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return super()._query(self._retriever.prepare_query(query_bundle))

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return await super()._aquery(await self._retriever.aprepare_query(query_bundle))

    def _get_prompt_modules(self) -> PromptMixinType:
        postprocessors = {
            f"node_postprocessor_{i}": PostprocessorPrompts(postprocessor)
            for i, postprocessor in enumerate(self._node_postprocessors)
        }
        return super()._get_prompt_modules() | postprocessors


class PostprocessorPrompts(PromptMixin):
    """Prompts of a postprocessor, which has them but is no `PromptMixin`."""

    def __init__(self, postprocessor: BaseNodePostprocessor) -> None:
        self._postprocessor = postprocessor

    def _get_prompts(self) -> PromptDictType:
        return self._postprocessor._get_prompts()

    def _get_prompt_modules(self) -> PromptMixinType:
        return self._postprocessor._get_prompt_modules()

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        self._postprocessor._update_prompts(prompts_dict)
