"""`mmrag serve` as a process with real, tiny models, until Ctrl-C; and its refusals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sample_catalog import ENCODER, RERANKER, write_sample_catalog

MMRAG = (sys.executable, "-c", "from mmrag.cli.main import main; main()")
TOKEN = "a b&c"


@contextmanager
def started(db: Path, *words: str):
    """The process and its URL, once it serves."""
    command = [*MMRAG, "serve", "--db", str(db), "--model", ENCODER, "--port", "0", "--json", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        try:
            output = b"".join(process.stdout.readline() for _ in range(3))
            if not output:
                raise AssertionError(process.stderr.read().decode())
            yield process, json.loads(output)["url"]
        finally:
            process.kill()


@pytest.fixture
def db(mmrag, tmp_path) -> Path:
    (tmp_path / "images").mkdir()
    db = tmp_path / "shop.db"
    table = write_sample_catalog(tmp_path / "images") / "shop.jsonl"
    assert mmrag("index", table, "--into", db, "--model", ENCODER).code == 0
    return db


def test_it_serves_with_its_token_until_ctrl_c_and_then_releases_the_index(db, mmrag):
    with started(db, "--reranker", RERANKER, "--access-token", TOKEN) as (process, opening_url):
        url = opening_url.partition("?")[0]
        assert httpx.get(opening_url).status_code == 303
        assert httpx.get(url).status_code == 401
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120)
        assert client.get("health").json()["images"] == 6
        assert "Start from one of these" in client.get("").text
        response = client.post("search", json={"text": "red dot", "filter": "price < 30", "top": 3}).json()
        assert (response["stage"], response["failures"]) == ("reranked", [])
        assert sorted(r["title"] for r in response["results"]) == ["blue dot", "green dot", "red dot"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130, -signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()
    found = mmrag("search", "red", "--db", db, "--model", ENCODER, "--no-rerank", "--json")
    assert len(found.json["results"]) == 6


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.0.7"])
def test_an_address_for_others_requires_a_token(mmrag, bind):
    ran = mmrag("serve", "--bind", bind)
    assert ran.code == 1
    assert f"--bind {bind} can be reached by others" in ran.err
    assert "--access-token" in ran.err


def test_a_taken_port_is_an_error_with_what_to_type(mmrag):
    with socket.create_server(("127.0.0.1", 0)) as other:
        ran = mmrag("serve", "--port", other.getsockname()[1])
    assert ran.code == 1
    assert "--port 0 takes a free one" in ran.err


def test_without_the_extra_the_error_says_what_to_install(mmrag, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "mmrag[web]"' in mmrag("serve").err


def test_help_shows_an_example(mmrag):
    assert "Example: mmrag serve --db shop.db" in mmrag("serve", "--help").out
