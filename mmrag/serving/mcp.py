"""MCP server of the image search tools, over stdio or streamable HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from inspect import cleandoc
from typing import Any

from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from PIL import Image
from pydantic import BaseModel
from starlette.types import ASGIApp

from mmrag.agent_tool.schema import DescribeImageInput, ImageDetails, SearchImagesOutput
from mmrag.agent_tool.tool import ImageSearch, ToolResponse
from mmrag.images.encode import data_uri
from mmrag.rerank.composite import draw_candidate, draw_label
from mmrag.serving.security import SecurityMiddleware

__all__ = ["create_server", "http_app", "serve_stdio"]

THUMBNAIL_SIDE = 128  # pixels
MAX_REQUEST_BYTES = 30_000_000  # 20 MB of image, as base64

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True)
class _ToolDefinition:
    title: str
    input_schema: type[BaseModel]
    output_schema: type[BaseModel]
    call: Callable[[Mapping[str, Any]], Awaitable[ToolResponse]]

    def to_tool(self, name: str) -> Tool:
        return Tool(
            name=name,
            title=self.title,
            description=cleandoc(self.input_schema.__doc__ or ""),
            input_schema=self.input_schema.model_json_schema(),
            output_schema=self.output_schema.model_json_schema(mode="serialization"),
            annotations=ToolAnnotations(
                read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
            ),
        )


def create_server(search: ImageSearch, *, thumbnails: bool = True) -> Server[Any]:
    """Create an MCP server of the tools ``search_images`` and ``describe_image``.

    Parameters
    ----------
    search : ImageSearch
        The search that both tools call.
    thumbnails : bool, default True
        Whether images are returned beside the JSON.
    """
    definitions = {
        "search_images": _ToolDefinition("Search images", search.input_schema(), SearchImagesOutput, search.asearch),
        "describe_image": _ToolDefinition("Look at an image", DescribeImageInput, ImageDetails, search.adescribe),
    }

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[definition.to_tool(name) for name, definition in definitions.items()])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        definition = definitions.get(params.name)
        if definition is None:
            return _error_result(f"no tool is called {params.name!r}: there are {', '.join(definitions)}")
        response = await definition.call(params.arguments or {})
        if response.is_error:
            return _error_result(response.text)
        images = await asyncio.to_thread(_thumbnails, response) if thumbnails else []
        return CallToolResult(
            content=[TextContent(type="text", text=response.text), *images],
            structured_content=response.output.model_dump(mode="json"),
        )

    return Server(
        "mmrag",
        version=version("mmrag"),
        instructions="Search a collection of images by words, by an example image, or by both.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(server: Server[Any]) -> None:
    """Serve one client over stdin and stdout until it closes the pipe; other output goes to stderr."""
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def http_app(server: Server[Any], *, bind: str = "127.0.0.1", token: str = "") -> ASGIApp:
    """Build the ASGI app of streamable HTTP at ``/mcp``, behind the access control of the search page."""
    app = server.streamable_http_app(host=bind, max_request_body_size=MAX_REQUEST_BYTES)
    return SecurityMiddleware(app, token=token, max_bytes=MAX_REQUEST_BYTES)


def _error_result(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=message)], is_error=True)


def _thumbnails(response: ToolResponse) -> list[ImageContent]:
    if isinstance(response.output, SearchImagesOutput):
        numbered = enumerate(response.images, start=1)
        return [_to_content(draw_label(draw_candidate(image, THUMBNAIL_SIDE), rank)) for rank, image in numbered]
    return [_to_content(image) for image in response.images if image]


def _to_content(image: Image.Image) -> ImageContent:
    _, _, data = data_uri(image).partition(",")
    return ImageContent(type="image", data=data, mime_type="image/jpeg")
