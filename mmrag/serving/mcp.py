"""MCP server of the image search tools, over stdio or streamable HTTP."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from inspect import cleandoc
from typing import Any

from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
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

READ_ONLY = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
Context = ServerRequestContext[Any, Any]


def create_server(search: ImageSearch, *, thumbnails: bool = True) -> Server[Any]:
    """Create an MCP server of the tools ``search_images`` and ``describe_image``, with thumbnails beside the JSON."""
    calls = {"search_images": search.asearch, "describe_image": search.adescribe}
    tools = [
        _describe_tool("search_images", "Search images", search.input_schema(), SearchImagesOutput),
        _describe_tool("describe_image", "Look at an image", DescribeImageInput, ImageDetails),
    ]

    async def list_tools(context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name not in calls:
            return _error_result(f"no tool is called {params.name!r}: there are {', '.join(calls)}")
        response = await calls[params.name](params.arguments or {})
        if response.is_error:
            return _error_result(response.text)
        images = await asyncio.to_thread(_thumbnails, response) if thumbnails else []
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=response.text), *images],
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


def _describe_tool(name: str, title: str, arguments: type[BaseModel], output: type[BaseModel]) -> types.Tool:
    return types.Tool(
        name=name,
        title=title,
        description=cleandoc(arguments.__doc__ or ""),
        input_schema=arguments.model_json_schema(),
        output_schema=output.model_json_schema(mode="serialization"),
        annotations=READ_ONLY,
    )


def _error_result(message: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=message)], is_error=True)


def _thumbnails(response: ToolResponse) -> list[types.ImageContent]:
    if isinstance(response.output, SearchImagesOutput):
        numbered = enumerate(response.images, start=1)
        return [_to_content(draw_label(draw_candidate(image, THUMBNAIL_SIDE), rank)) for rank, image in numbered]
    return [_to_content(image) for image in response.images if image]


def _to_content(image: Image.Image) -> types.ImageContent:
    _, _, data = data_uri(image).partition(",")
    return types.ImageContent(type="image", data=data, mime_type="image/jpeg")
