"""Image search as LlamaIndex tools."""

from __future__ import annotations

import asyncio
from inspect import cleandoc
from typing import Any, ClassVar

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.llms.types import ContentBlock, ImageBlock, MessageRole, TextBlock
from llama_index.core.memory import BaseMemory
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.tool_spec.base import SPEC_FUNCTION_TYPE, BaseToolSpec
from llama_index.core.workflow import Context
from llama_index.embeddings.composed_image.image_sources import block_image

from mmrag.agent_tool.image_resolver import LAST_IMAGE
from mmrag.agent_tool.schema import DescribeImageInput
from mmrag.agent_tool.tool import ImageSearch, ToolResponse
from mmrag.images import ImagePolicy, ImageSource
from mmrag.images.encode import data_uri

__all__ = ["ImageSearchToolSpec"]


class ImageSearchToolSpec(BaseToolSpec):
    """Tools by which agents search images by text and by example, and look at single results.

    Each tool returns compact JSON and, as an image, a contact sheet. Nothing is raised for a bad argument:
    the JSON says what is wrong and what to give instead.

    Parameters
    ----------
    engine : BaseQueryEngine
        From `ComposedImageIndex.as_query_engine`, with or without a reranker.
    policy : ImagePolicy, optional
        Folders of uploads and hosts from which a model may name images, and size limits:
        ``ImagePolicy(roots=["uploads"], hosts=["shop.example"])``. Indexed images, ``data:`` URIs and
        the images of the user are always allowed. Default: nothing else.

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

    def add_upload(self, source: ImageSource) -> str:
        """Keep an image that a user uploaded; the model can name it by the handle that is returned.

        Raises
        ------
        ImageError
            If it is too large, or no image.
        """
        return self._search.resolver.add_upload(source)

    def search_images(
        self,
        text: str | None = None,
        image: str | None = None,
        top_n: int | None = None,
        filters: str | None = None,
        ctx: Context | None = None,
        **unknown: Any,
    ) -> list[ContentBlock]:
        """Search images by a sentence, an example image, or both."""
        arguments = {"text": text, "image": image, "top_n": top_n, "filters": filters, **unknown}
        return _to_blocks(self._search.search(arguments))

    async def asearch_images(
        self,
        text: str | None = None,
        image: str | None = None,
        top_n: int | None = None,
        filters: str | None = None,
        ctx: Context | None = None,
        **unknown: Any,
    ) -> list[ContentBlock]:
        """Search images asynchronously; the context holds the conversation, and so the user's last image."""
        arguments = {"text": text, "image": image, "top_n": top_n, "filters": filters, **unknown}
        last_image = await _find_last_image(ctx) if image == LAST_IMAGE else None
        response = await self._search.asearch(arguments, last_image)
        return await asyncio.to_thread(_to_blocks, response)

    def describe_image(self, id: str | None = None, **unknown: Any) -> list[ContentBlock]:
        """Return the details of one image, and the image."""
        return _to_blocks(self._search.describe({"id": id, **unknown}))

    async def adescribe_image(self, id: str | None = None, **unknown: Any) -> list[ContentBlock]:
        """Return the details of one image, and the image, asynchronously."""
        return await asyncio.to_thread(self.describe_image, id, **unknown)

    def get_metadata_from_fn_name(self, fn_name: str, spec_functions: Any = None) -> ToolMetadata:
        """Describe a tool for a model."""
        more_forms = f"'{LAST_IMAGE}' (the image that the user sent last), an upload handle (upload-…), "
        schema = self._search.input_schema(more_forms) if fn_name == "search_images" else DescribeImageInput
        return ToolMetadata(cleandoc(schema.__doc__ or ""), fn_name, schema)

    def to_tool_list(self, *args: Any, **kwargs: Any) -> list[FunctionTool]:
        """Build the tools; the search receives the agent's context."""
        tools = super().to_tool_list(*args, **kwargs)
        for tool in tools:
            if tool.real_fn in (self.search_images, self.asearch_images):  # by any name
                # LlamaIndex finds a context by its annotation, but cannot read a postponed one
                tool.requires_context, tool.ctx_param_name = True, "ctx"
                tool.partial_params = {"ctx": None}  # for calls outside of an agent
        return tools


async def _find_last_image(ctx: Context | None) -> ImageSource | None:
    """Return the most recent image of the user's messages; those of tools and models do not count."""
    memory = await ctx.store.get("memory", default=None) if ctx is not None else None
    if not isinstance(memory, BaseMemory):
        return None
    messages = [message for message in await memory.aget_all() if message.role == MessageRole.USER]
    blocks = [block for message in messages for block in message.blocks if isinstance(block, ImageBlock)]
    images = map(block_image, reversed(blocks))
    return next((image for image in images if image is not None), None)


def _to_blocks(response: ToolResponse) -> list[ContentBlock]:
    blocks: list[ContentBlock] = [TextBlock(text=response.text)]
    if sheet := response.contact_sheet:
        _, _, data = data_uri(sheet).partition(",")
        blocks.append(ImageBlock(image=data.encode(), image_mimetype="image/jpeg"))
    return blocks
