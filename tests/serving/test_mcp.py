"""The MCP server over HTTP: a reranker, many clients at once, and an agent of LlamaIndex."""

from __future__ import annotations

import asyncio

import pytest
from color_index import images, index, open_index
from live_server import serving
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms import MockFunctionCallingLLM
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from mcp import Client

from mmrag.agent_tool.tool import ImageSearch
from mmrag.images import ImagePolicy
from mmrag.serving.mcp import create_server, http_app
from mmrag.testing import MockVision, reversing

__all__ = ["images", "index", "open_index"]


@pytest.fixture(scope="module")
def url(index, images):
    """A server that reranks three results by reversing them."""
    rerank = LLVMRerank(llm=MockVision(reversing()))
    engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[rerank])
    search = ImageSearch(engine, ImagePolicy(roots=[images]))
    with serving(http_app(create_server(search, thumbnails=False))) as address:
        yield f"{address}/mcp"


def test_the_reason_of_a_reranker_is_returned_and_thumbnails_are_optional(url):
    async def search():
        async with Client(url) as client:
            return await client.call_tool("search_images", {"text": "red"})

    response = asyncio.run(search())
    assert response.structured_content["stage"] == "reranked"
    assert response.structured_content["results"][0]["reason"] == "The last shall be first."
    assert [content.type for content in response.content] == ["text"]


def test_many_clients_search_at_once(url, images):
    async def last_title(color: str) -> str:
        async with Client(url) as client:
            arguments = {"image": str(images / f"{color}.png"), "top_n": 3}
            response = await client.call_tool("search_images", arguments)
            return response.structured_content["results"][-1]["title"]

    async def search_all():
        return await asyncio.gather(*map(last_title, ["red", "green", "blue", "black"]))

    # each finds itself first, and the reranker puts it last
    assert asyncio.run(search_all()) == ["red", "green", "blue", "black"]


def test_an_agent_of_llama_index_uses_the_tools_through_mcp(url):
    outputs = []

    def respond(messages, **kwargs) -> ChatMessage:
        if messages[-1].role == "tool":
            outputs.append(messages[-1].content)
            return ChatMessage(role="assistant", content="Here are red ones.")
        call = ToolCallBlock(
            tool_call_id="1", tool_name="search_images", tool_kwargs={"text": "red", "filters": "price < 5", "top_n": 2}
        )
        return ChatMessage(role="assistant", blocks=[call])

    async def run():
        tools = await McpToolSpec(BasicMCPClient(url)).to_tool_list_async()
        assert [tool.metadata.name for tool in tools] == ["search_images", "describe_image"]
        llm = MockFunctionCallingLLM(response_generator=respond, is_chat_model=True)
        return await FunctionAgent(tools=tools, llm=llm, streaming=False).run("red ones?")

    assert str(asyncio.run(run())) == "Here are red ones."
    assert "The last shall be first." in outputs[0]
