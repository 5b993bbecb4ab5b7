"""`mmrag mcp` as a process: nothing but protocol on stdout, and a clean end however it is told."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.embedding import VisualizedBGE

PROGRAM = (sys.executable, "-c", "from mmrag.cli.main import main; main()")
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder, place = write_sample_catalog(tmp_path_factory.mktemp("shop")), tmp_path_factory.mktemp("db")
    with opened(place / "shop.db") as index:
        index.add_folder(folder)
    return place / "shop.db"


def opened(place) -> ComposedImageIndex:
    encoder = VisualizedBGE.from_pretrained(ENCODER)
    return ComposedImageIndex.open(place, VisualizedBGEEmbedding(encoder=encoder))


@contextmanager
def running(*words: object) -> Iterator[subprocess.Popen]:
    """`mmrag …` with pipes; killed when a test leaves it alive."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def say(process, method: str, params: dict, id: int | None = None) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    process.stdin.write(json.dumps(message | ({"id": id} if id else {})) + "\n")
    process.stdin.flush()


def test_stdout_is_protocol_only_and_a_closed_pipe_ends_it(db):
    words = ("--debug", "mcp", "--db", db, "--model", ENCODER, "--no-rerank")
    with running(*words) as process:
        say(process, "initialize", HELLO, id=1)
        first = process.stdout.readline()
        say(process, "notifications/initialized", {})
        search = {"name": "search_images", "arguments": {"text": "a dot"}}
        say(process, "tools/call", search, id=2)
        second = process.stdout.readline()
        rest, errors = process.communicate(timeout=60)  # closes stdin
        lines = [json.loads(line) for line in [first, second, *rest.splitlines()]]
        assert process.returncode == 0
    assert {line["jsonrpc"] for line in lines} == {"2.0"}
    assert lines[0]["result"]["serverInfo"]["name"] == "mmrag"
    assert len(lines[1]["result"]["structuredContent"]["results"]) == 6
    assert "Traceback" not in errors


def test_a_signal_ends_it_though_the_pipe_is_open_and_frees_the_index(db):
    with running("mcp", "--db", db, "--model", ENCODER, "--no-rerank") as process:
        say(process, "initialize", HELLO, id=1)
        assert process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    with opened(db) as index:
        assert index.vector_store.count() == 6


def test_over_http_only_who_knows_the_token_is_served_until_a_signal(db):
    words = ("mcp", "--http", "--port", 0, "--access-token", "s3cret", "--json", "--no-rerank")
    with running(*words, "--db", db, "--model", ENCODER) as process:
        url = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        assert url.startswith("http://127.0.0.1:")
        assert httpx2.post(url, json={}).status_code == 401
        elsewhere = {"Origin": "http://evil.example", "Authorization": "Bearer s3cret"}
        assert httpx2.post(url, json={}, headers=elsewhere).status_code == 403
        assert asyncio.run(tools(url, "s3cret")) == ["search_images", "describe_image"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    with opened(db) as index:
        assert index.vector_store.count() == 6


async def tools(url: str, token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return [tool.name for tool in (await client.list_tools()).tools]


def test_others_are_not_served_without_a_token(mmrag):
    ran = mmrag("mcp", "--http", "--bind", "0.0.0.0")
    assert ran.code == 1
    assert "give a secret" in ran.err
    assert ran.out == ""


def test_without_the_extra_it_says_what_to_install(mmrag, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    ran = mmrag("mcp")
    assert ran.code == 1
    assert 'pip install "mmrag[mcp]"' in ran.err


def test_a_place_that_can_hold_no_index_is_one_line_on_stderr(mmrag, tmp_path):
    ran = mmrag("mcp", "--db", tmp_path / "shop.txt", "--model", ENCODER, "--no-rerank")
    assert ran.code == 1
    assert "must end in '.db'" in ran.err
    assert ran.out == ""
