"""Image search for MCP clients. In: a search. Out: a server of two tools, by pipe or HTTP.

What is asked and told is that of `llama_index.tools.image_search`; images come as thumbnails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from inspect import cleandoc
from typing import Any

from llama_index.tools.image_search import Answer, FoundImage, FoundImages, ImageFacts, ImageSearch
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
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

from mmrag.agent_tool.schema import DescribeImage
from mmrag.images.encode import data_uri
from mmrag.rerank.composite import draw_candidate, draw_label
from mmrag.serving.security import Guard

__all__ = ["create_server", "http_app", "over_stdio"]

THUMBNAIL = 128
MOST_BYTES = 30_000_000  # of one request: 20 MB of image, as base64

Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True)
class _Offer:
    title: str
    asked: type[BaseModel]
    told: type[BaseModel]
    answer: Callable[[Mapping[str, Any]], Awaitable[Answer]]

    def tool(self, name: str) -> Tool:
        return Tool(
            name=name,
            title=self.title,
            description=cleandoc(self.asked.__doc__ or ""),
            input_schema=self.asked.model_json_schema(),
            output_schema=self.told.model_json_schema(mode="serialization"),
            annotations=ToolAnnotations(
                read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
            ),
        )


def create_server(search: ImageSearch, *, thumbnails: bool = True) -> Server[Any]:
    """Make the server; without ``thumbnails`` it answers by JSON alone."""
    offers = {
        "search_images": _Offer("Search images", search.asks(), FoundImages, search.asearch),
        "describe_image": _Offer("Look at an image", DescribeImage, ImageFacts, search.adescribe),
    }

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[offer.tool(name) for name, offer in offers.items()])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        offer = offers.get(params.name)
        if offer is None:
            return _failed(f"no tool is called {params.name!r}: there are {', '.join(offers)}")
        answer = await offer.answer(params.arguments or {})
        if answer.refused:
            return _failed(answer.text)
        images = await asyncio.to_thread(_thumbnails, answer) if thumbnails else []
        return CallToolResult(
            content=[TextContent(type="text", text=answer.text), *images],
            structured_content=answer.facts.model_dump(mode="json"),
        )

    return Server(
        "mmrag",
        version=version("mmrag"),
        instructions="Search a collection of images by words, by an example image, or by both.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def over_stdio(server: Server[Any]) -> None:
    """Serve one client until it closes the pipe; what else is printed goes to stderr."""
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def http_app(server: Server[Any], *, bind: str = "127.0.0.1", token: str = "") -> ASGIApp:
    """Make the ASGI app of streamable HTTP, at ``/mcp``, guarded as the search page is."""
    app = server.streamable_http_app(host=bind, max_request_body_size=MOST_BYTES)
    return Guard(app, token=token, max_bytes=MOST_BYTES)


def _failed(words: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=words)], is_error=True)


def _thumbnails(answer: Answer) -> list[ContentBlock]:
    if isinstance(answer.facts, FoundImages):
        numbered = zip(answer.facts.results, answer.images, strict=True)
        return [_content(_cell(found, image)) for found, image in numbered]
    return [_content(image) for image in answer.images if image]


def _cell(found: FoundImage, image: Image.Image | None) -> Image.Image:
    return draw_label(draw_candidate(image, THUMBNAIL), found.number)


def _content(image: Image.Image) -> ImageContent:
    _, _, data = data_uri(image).partition(",")
    return ImageContent(type="image", data=data, mime_type="image/jpeg")
