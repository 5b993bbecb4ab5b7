"""A real MCP client talks to `mmrag mcp`, by pipe and by HTTP, and is told the same."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import validate
from live_server import serving
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms import MockFunctionCallingLLM
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from llama_index.tools.image_search import ImageSearch, ImageSearchToolSpec
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from mcp import Client, StdioServerParameters
from PIL import Image
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.embedding import VisualizedBGE
from mmrag.images import ImagePolicy
from mmrag.serving.mcp import create_server, http_app
from mmrag.testing import MockVision, reversing

PROGRAM = ("-c", "from mmrag.cli.main import main; main()", "mcp", "--model", ENCODER)


class Talk(NamedTuple):
    """What a client was told in one session."""

    tools: Any
    found: Any
    alike: Any
    described: Any
    refused: Any
    wrong: Any
    unknown: Any


class Shop(NamedTuple):
    folder: Path
    db: Path

    def open(self) -> ComposedImageIndex:
        encoder = VisualizedBGE.from_pretrained(ENCODER)
        return ComposedImageIndex.open(self.db, VisualizedBGEEmbedding(encoder=encoder), scalar_fields={"price": float})


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    folder = write_sample_catalog(tmp_path_factory.mktemp("shop"))
    shop = Shop(folder, tmp_path_factory.mktemp("db") / "shop.db")
    with shop.open() as index:
        index.add_folder(folder, metadata=lambda path: {"price": float(len(path.stem))})
    return shop


async def talk(client: Client, shop: Shop) -> Talk:
    async with client:
        tools = await client.list_tools()
        found = await client.call_tool("search_images", {"text": "a dot", "top_n": 3})
        id = found.structured_content["results"][0]["id"]
        return Talk(
            tools={tool.name: tool for tool in tools.tools},
            found=found,
            alike=await client.call_tool(
                "search_images", {"image": str(shop.folder / "red.png"), "filters": "price < 5", "top_n": 1}
            ),
            described=await client.call_tool("describe_image", {"id": id}),
            refused=await client.call_tool("search_images", {"image": "/etc/passwd"}),
            wrong=await client.call_tool("search_images", {"text": "dot", "top_n": 99}),
            unknown=await client.call_tool("buy_images", {}),
        )


@pytest.fixture(scope="module", params=["stdio", "http"])
def told(request, shop) -> Talk:
    if request.param == "stdio":
        words = [*PROGRAM, "--db", str(shop.db), "--no-rerank"]
        started = StdioServerParameters(command=sys.executable, args=words)
        return asyncio.run(talk(Client(started), shop))
    with shop.open() as index:
        search = ImageSearch(index.as_query_engine(similarity_top_k=9))
        with serving(http_app(create_server(search))) as address:
            return asyncio.run(talk(Client(f"{address}/mcp"), shop))


def image(content) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(content.data)))


def test_the_tools_say_that_they_only_read(told):
    assert set(told.tools) == {"search_images", "describe_image"}
    for tool in told.tools.values():
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.destructive_hint is False


def test_every_argument_is_described(told):
    properties = told.tools["search_images"].input_schema["properties"]
    assert list(properties) == ["text", "image", "top_n", "filters"]
    assert all(argument["description"] for argument in properties.values())
    assert "price (float)" in properties["filters"]["description"]
    assert "'last'" not in properties["image"]["description"]


def test_answers_keep_to_the_schema_that_was_told(told):
    validate(told.found.structured_content, told.tools["search_images"].output_schema)
    validate(told.described.structured_content, told.tools["describe_image"].output_schema)
    assert told.tools["search_images"].output_schema["required"] == ["results"]


def test_results_come_as_structure_as_text_and_as_numbered_thumbnails(told):
    words, *thumbnails = told.found.content
    results = told.found.structured_content["results"]
    assert [result["number"] for result in results] == [1, 2, 3]
    assert [r["id"] for r in json.loads(words.text)["results"]] == [r["id"] for r in results]
    assert [(t.type, t.mime_type) for t in thumbnails] == [("image", "image/jpeg")] * 3
    assert {image(thumbnail).size for thumbnail in thumbnails} == {(128, 128)}
    # the plates say which is which: black ink in the corner, and no two thumbnails alike
    assert len({thumbnail.data for thumbnail in thumbnails}) == 3
    assert len(words.text) + sum(len(t.data) for t in thumbnails) < 30_000


def test_an_indexed_image_is_an_example(told):
    (best,) = told.alike.structured_content["results"]
    assert (best["title"], best["similarity"]) == ("red", pytest.approx(1, abs=0.01))


def test_a_image_is_described_and_shown(told):
    facts = told.described.structured_content
    assert facts["id"] == told.found.structured_content["results"][0]["id"]
    assert image(told.described.content[1]).size == (facts["width"], facts["height"])


def test_what_is_refused_is_an_error_with_what_to_do(told):
    assert told.refused.is_error
    assert "outside of the allowed folders" in told.refused.content[0].text
    assert "Instead, give the id of an earlier result" in told.refused.content[0].text
    assert told.wrong.is_error
    assert "top_n" in told.wrong.content[0].text
    assert told.unknown.is_error
    assert "there are search_images, describe_image" in told.unknown.content[0].text
    assert "Traceback" not in told.refused.content[0].text + told.unknown.content[0].text


def test_the_tool_of_llama_index_and_that_of_mcp_tell_the_same(told, shop):
    with shop.open() as index:
        spec = ImageSearchToolSpec(index.as_query_engine(similarity_top_k=9))
        assert spec.search_images("a dot", top_n=3)[0].text == told.found.content[0].text


@pytest.fixture(scope="module")
def served(shop):
    """A server on this machine that reranks by reversing; its address."""
    with shop.open() as index:
        rerank = LLVMRerank(llm=MockVision(reversing()))
        engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[rerank])
        search = ImageSearch(engine, ImagePolicy(roots=[shop.folder]))
        app = http_app(create_server(search, thumbnails=False))
        with serving(app) as address:
            yield f"{address}/mcp"


def test_a_reranker_tells_its_reason(served):
    async def ask():
        async with Client(served) as client:
            return await client.call_tool("search_images", {"text": "a dot"})

    answer = asyncio.run(ask())
    assert answer.structured_content["results"][0]["reason"] == "The last shall be first."
    assert [content.type for content in answer.content] == ["text"]


def test_many_clients_ask_at_once(served, shop):
    async def ask(color: str) -> str:
        async with Client(served) as client:
            asked = {"image": str(shop.folder / f"{color}.png"), "top_n": 3}
            answer = await client.call_tool("search_images", asked)
            return answer.structured_content["results"][-1]["title"]

    async def all_at_once():
        return await asyncio.gather(*map(ask, ["red", "green", "blue", "black"]))

    # each finds itself first, and the reranker puts it last
    assert asyncio.run(all_at_once()) == ["red", "green", "blue", "black"]


def test_an_agent_of_llama_index_uses_the_tools_through_mcp(served):
    read = []

    def answer(messages, **kwargs) -> ChatMessage:
        if messages[-1].role == "tool":
            read.append(messages[-1].content)
            return ChatMessage(role="assistant", content="Here are dots.")
        call = ToolCallBlock(
            tool_call_id="1",
            tool_name="search_images",
            tool_kwargs={"text": "a dot", "filters": "price < 5", "top_n": 2},
        )
        return ChatMessage(role="assistant", blocks=[call])

    async def run():
        tools = await McpToolSpec(BasicMCPClient(served)).to_tool_list_async()
        assert [tool.metadata.name for tool in tools] == ["search_images", "describe_image"]
        llm = MockFunctionCallingLLM(response_generator=answer, is_chat_model=True)
        return await FunctionAgent(tools=tools, llm=llm, streaming=False).run("dots?")

    assert str(asyncio.run(run())) == "Here are dots."
    assert "The last shall be first." in read[0]
