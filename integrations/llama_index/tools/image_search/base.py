"""Image search as LlamaIndex tools. In: an engine. Out: two tools for any agent."""

from __future__ import annotations

import asyncio
from inspect import cleandoc
from typing import Any, ClassVar

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.types import ContentBlock, ImageBlock, TextBlock
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from llama_index.core.workflow import Context
from llama_index.tools.image_search.memory import last_image
from PIL import Image

from mmrag.agent_tool.image_resolver import LAST
from mmrag.agent_tool.schema import DescribeImage
from mmrag.agent_tool.tool import Answer, ImageSearch
from mmrag.images import ImagePolicy, ImageSource
from mmrag.images.encode import data_uri

__all__ = ["ImageSearchToolSpec"]


class ImageSearchToolSpec(BaseToolSpec):
    """Let agents search images by words and by example, and look at what they found.

    Each tool answers with compact JSON and, as an image, a contact sheet. What cannot be done is
    told in the JSON, with what to do instead: nothing is raised for it.

    Parameters
    ----------
    engine
        An engine of `ComposedImageIndex.as_query_engine`, with or without a reranker.
    policy
        Folders of uploads and hosts from which a model may name images, and how large they may
        be: ``ImagePolicy(roots=["uploads"], hosts=["shop.example"])``. Indexed images, ``data:``
        URIs and what the user sent may always be named.

    Examples
    --------
    >>> tools = ImageSearchToolSpec(engine).to_tool_list()  # doctest: +SKIP
    >>> agent = FunctionAgent(tools=tools, llm=llm)  # doctest: +SKIP
    >>> await agent.run("red mugs with dots, please")  # doctest: +SKIP
    """

    spec_functions: ClassVar[list[SPEC_FUNCTION_TYPE]] = [  # pyright: ignore[reportIncompatibleVariableOverride]
        ("search_images", "asearch_images"),
        ("describe_image", "adescribe_image"),
    ]

    def __init__(self, engine: BaseQueryEngine, policy: ImagePolicy | None = None) -> None:
        self._search = ImageSearch(engine, policy)

    def keep(self, source: ImageSource) -> str:
        """Take an image that a user uploaded; tell the model the handle that comes back.

        Raises
        ------
        ImageError
            When it is too large, or no image.
        """
        return self._search.references.keep(source)

    def search_images(
        self,
        text: str | None = None,
        image: str | None = None,
        top_n: int | None = None,
        filters: str | None = None,
        ctx: Context | None = None,
        **unknown: Any,
    ) -> list[ContentBlock]:
        """Find images by a sentence, an example image, or both."""
        asked = {"text": text, "image": image, "top_n": top_n, "filters": filters, **unknown}
        return _blocks(self._search.search(asked))

    async def asearch_images(
        self,
        text: str | None = None,
        image: str | None = None,
        top_n: int | None = None,
        filters: str | None = None,
        ctx: Context | None = None,
        **unknown: Any,
    ) -> list[ContentBlock]:
        """Find images, without blocking the event loop; ``ctx`` knows what the user sent."""
        asked = {"text": text, "image": image, "top_n": top_n, "filters": filters, **unknown}
        last = await last_image(ctx) if image == LAST else None
        answer = await self._search.asearch(asked, last)
        return await asyncio.to_thread(_blocks, answer)

    def describe_image(self, id: str | None = None, **unknown: Any) -> list[ContentBlock]:
        """Tell all that is known about one image, and show it."""
        return _blocks(self._search.describe({"id": id, **unknown}))

    async def adescribe_image(self, id: str | None = None, **unknown: Any) -> list[ContentBlock]:
        """Tell all that is known about one image, without blocking the event loop."""
        answer = await self._search.adescribe({"id": id, **unknown})
        return await asyncio.to_thread(_blocks, answer)

    def get_metadata_from_fn_name(
        self, fn_name: str, spec_functions: list[SPEC_FUNCTION_TYPE] | None = None
    ) -> ToolMetadata | None:
        """Describe a tool for a model."""
        search = self._search.asks(f"'{LAST}' (the image that the user sent last), an upload handle (upload-…), ")
        schemas: dict[str, type[BaseModel]] = {"search_images": search, "describe_image": DescribeImage}
        schema = schemas[fn_name]
        return ToolMetadata(cleandoc(schema.__doc__ or ""), fn_name, schema)

    def to_tool_list(self, *args: Any, **kwargs: Any) -> list[FunctionTool]:
        """Make the tools; that of the search is handed the agent's context."""
        tools = super().to_tool_list(*args, **kwargs)
        for tool in tools:
            if tool.real_fn in (self.search_images, self.asearch_images):  # by any name
                # LlamaIndex finds a context by its annotation, but cannot read a postponed one
                tool.requires_context, tool.ctx_param_name = True, "ctx"
                tool.partial_params = {"ctx": None}  # for those who call it outside of an agent
        return tools


def _blocks(answer: Answer) -> list[ContentBlock]:
    sheet = answer.sheet
    return [TextBlock(text=answer.text), *([_block(sheet)] if sheet else [])]


def _block(image: Image.Image) -> ImageBlock:
    _, _, data = data_uri(image).partition(",")
    return ImageBlock(image=data.encode(), image_mimetype="image/jpeg")
