"""`mmrag mcp` as a process, with a real MCP client over stdio and HTTP: tools, results, errors, and a clean end."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from jsonschema import validate
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.tools.image_search import ImageSearchToolSpec
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ListToolsResult
from PIL import Image
from sample_catalog import ENCODER, write_sample_catalog

MMRAG = (sys.executable, "-c", "from mmrag.cli.main import main; main()")
TOOLS = ["search_images", "describe_image"]
TOKEN = "s3cret"
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Catalog(NamedTuple):
    images: Path
    db: Path

    def open(self) -> ComposedImageIndex:
        embedding = ComposedImageEmbedding(ENCODER)
        return ComposedImageIndex.open(self.db, embedding, scalar_fields={"price": float})

    def arguments(self) -> list[str]:
        return ["mcp", "--db", str(self.db), "--model", ENCODER, "--no-rerank"]


class Conversation(NamedTuple):
    """What one client received."""

    tools: dict[str, Any]
    found: Any
    similar: Any
    described: Any
    refused: Any
    invalid: Any
    unknown_tool: Any


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Catalog:
    images = write_sample_catalog(tmp_path_factory.mktemp("images"))
    catalog = Catalog(images, tmp_path_factory.mktemp("db") / "shop.db")
    with catalog.open() as index:
        index.add_folder(images, metadata=lambda path: {"price": float(len(path.stem))})
    return catalog


async def converse(client: Client | PipeClient, images: Path) -> Conversation:
    async with client:
        tools = await client.list_tools()
        found = await client.call_tool("search_images", {"text": "a dot", "top_n": 3})
        id = found.structured_content["results"][0]["id"]
        example = {"image": str(images / "red.png"), "filters": "price < 5", "top_n": 1}
        return Conversation(
            tools={tool.name: tool for tool in tools.tools},
            found=found,
            similar=await client.call_tool("search_images", example),
            described=await client.call_tool("describe_image", {"id": id}),
            refused=await client.call_tool("search_images", {"image": "/etc/passwd"}),
            invalid=await client.call_tool("search_images", {"text": "dot", "top_n": 99}),
            unknown_tool=await client.call_tool("buy_images", {}),
        )


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen]:
    """Run `mmrag …` with pipes; killed if a test leaves it alive."""
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen([*MMRAG, *arguments], **pipes, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class PipeClient:
    """A client that checks that each line of stdout is a message of the protocol."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.id = process, 0

    async def __aenter__(self) -> PipeClient:
        self.request("initialize", HELLO)
        return self

    async def __aexit__(self, *_: object) -> None:
        rest, errors = self.process.communicate(timeout=60)  # closes stdin
        assert (self.process.returncode, rest) == (0, "")
        assert "Traceback" not in errors

    def request(self, method: str, params: dict) -> dict:
        self.id += 1
        message = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        response = json.loads(self.process.stdout.readline())
        assert (response["jsonrpc"], response["id"]) == ("2.0", self.id)
        return response["result"]

    async def list_tools(self) -> ListToolsResult:
        return ListToolsResult.model_validate(self.request("tools/list", {}))

    async def call_tool(self, name: str, arguments: dict) -> CallToolResult:
        return CallToolResult.model_validate(self.request("tools/call", {"name": name, "arguments": arguments}))


@pytest.fixture(scope="module")
def over_stdio(catalog) -> Conversation:
    """A conversation over stdin and stdout, which ends when the client closes the pipe."""
    with started("--debug", *catalog.arguments()) as process:
        return asyncio.run(converse(PipeClient(process), catalog.images))


@pytest.fixture(scope="module")
def over_http(catalog) -> Conversation:
    """A conversation over HTTP with a token, until a signal ends the server."""
    arguments = (*catalog.arguments(), "--http", "--port", "0", "--access-token", TOKEN, "--json")
    with started(*arguments) as process:
        url = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        assert url.startswith("http://127.0.0.1:")
        assert httpx2.post(url, json={}).status_code == 401
        cross_origin = {"Origin": "http://evil.example", "Authorization": f"Bearer {TOKEN}"}
        assert httpx2.post(url, json={}, headers=cross_origin).status_code == 403
        conversation = asyncio.run(_converse_with_token(url, catalog.images))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    return conversation


async def _converse_with_token(url: str, images: Path) -> Conversation:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        return await converse(Client(streamable_http_client(url, http_client=http)), images)


@pytest.fixture(params=["over_stdio", "over_http"])
def received(request) -> Conversation:
    return request.getfixturevalue(request.param)


def image(content) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(content.data)))


def test_the_tools_are_read_only(received):
    assert list(received.tools) == TOOLS
    for tool in received.tools.values():
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.destructive_hint is False


def test_every_argument_is_described(received):
    properties = received.tools["search_images"].input_schema["properties"]
    assert list(properties) == ["text", "image", "top_n", "filters"]
    assert all(argument["description"] for argument in properties.values())
    assert "price (float)" in properties["filters"]["description"]
    assert "'last'" not in properties["image"]["description"]


def test_structured_content_conforms_to_the_output_schema(received):
    validate(received.found.structured_content, received.tools["search_images"].output_schema)
    validate(received.described.structured_content, received.tools["describe_image"].output_schema)
    assert received.tools["search_images"].output_schema["required"] == ["results"]


def test_results_are_json_text_and_numbered_thumbnails(received):
    words, *thumbnails = received.found.content
    results = received.found.structured_content["results"]
    assert [result["rank"] for result in results] == [1, 2, 3]
    assert [r["id"] for r in json.loads(words.text)["results"]] == [r["id"] for r in results]
    assert [(t.type, t.mime_type) for t in thumbnails] == [("image", "image/jpeg")] * 3
    assert {image(thumbnail).size for thumbnail in thumbnails} == {(128, 128)}
    assert len({thumbnail.data for thumbnail in thumbnails}) == 3
    assert len(words.text) + sum(len(t.data) for t in thumbnails) < 30_000


def test_an_indexed_image_is_an_example(received):
    (best,) = received.similar.structured_content["results"]
    assert (best["title"], best["score"]) == ("red", pytest.approx(1, abs=0.01))


def test_an_image_is_described_and_shown(received):
    details = received.described.structured_content
    assert details["id"] == received.found.structured_content["results"][0]["id"]
    assert image(received.described.content[1]).size == (details["width"], details["height"])


def test_a_refused_call_is_an_error_that_says_what_to_give_instead(received):
    assert received.refused.is_error
    assert "outside of the allowed folders" in received.refused.content[0].text
    assert "Instead, give the id of an earlier result" in received.refused.content[0].text
    assert received.invalid.is_error
    assert "top_n" in received.invalid.content[0].text
    assert received.unknown_tool.is_error
    assert "there are search_images, describe_image" in received.unknown_tool.content[0].text
    assert "Traceback" not in received.refused.content[0].text + received.unknown_tool.content[0].text


def test_the_llama_index_tool_and_the_mcp_tool_return_the_same(received, catalog):
    with catalog.open() as index:  # which both servers have released
        assert index.vector_store.count() == 6
        spec = ImageSearchToolSpec(index.as_query_engine(similarity_top_k=9))
        assert spec.search_images("a dot", top_n=3)[0].text == received.found.content[0].text


def test_sigterm_ends_a_stdio_server_whose_pipe_is_open_and_releases_the_index(catalog, tmp_path):
    copy = Catalog(catalog.images, shutil.copytree(catalog.db, tmp_path / "shop.db"))
    with started(*copy.arguments()) as process:
        assert PipeClient(process).request("initialize", HELLO)["serverInfo"]["name"] == "mmrag"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    with copy.open() as index:
        assert index.vector_store.count() == 6


def test_an_address_for_others_requires_a_token(mmrag):
    ran = mmrag("mcp", "--http", "--bind", "0.0.0.0")
    assert ran.code == 1
    assert "give a secret" in ran.err
    assert ran.out == ""


def test_without_the_extra_the_error_says_what_to_install(mmrag, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    ran = mmrag("mcp")
    assert ran.code == 1
    assert 'pip install "mmrag[mcp]"' in ran.err


def test_a_path_that_can_hold_no_index_is_one_line_on_stderr(mmrag, tmp_path):
    ran = mmrag("mcp", "--db", tmp_path / "shop.txt", "--model", ENCODER, "--no-rerank")
    assert ran.code == 1
    assert "must end in '.db'" in ran.err
    assert ran.out == ""
