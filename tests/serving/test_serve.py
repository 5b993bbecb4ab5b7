"""`mmrag serve` as a person runs it: a real process with real, tiny models, until Ctrl-C."""

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


@contextmanager
def started(db: Path, *words: str):
    """The process and its address, once it serves; it is ended by its own handle."""
    command = [*MMRAG, "serve", "--db", str(db), "--model", ENCODER, "--port", "0", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        try:
            told = b"".join(process.stdout.readline() for _ in range(3))
            if not told:
                raise AssertionError(process.stderr.read().decode())
            yield process, json.loads(told)["url"]
        finally:
            process.kill()


@pytest.fixture
def db(mmrag, tmp_path) -> Path:
    (tmp_path / "images").mkdir()
    place = tmp_path / "shop.db"
    images = write_sample_catalog(tmp_path / "images") / "shop.jsonl"
    assert mmrag("index", images, "--into", place, "--model", ENCODER).code == 0
    return place


def test_it_serves_until_ctrl_c_and_then_lets_go_of_the_index(db, mmrag):
    with started(db, "--reranker", RERANKER) as (process, url):
        assert httpx.get(f"{url}health").json()["images"] == 6
        assert "Start from one of these" in httpx.get(url).text
        question = {"text": "red dot", "filter": "price < 30", "top": 3}
        answer = httpx.post(f"{url}search", json=question, timeout=120).json()
        assert (answer["stage"], answer["error"]) == ("reranked", "")
        assert sorted(r["title"] for r in answer["results"]) == ["blue dot", "green dot", "red dot"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130, -signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()
    found = mmrag("search", "red", "--db", db, "--model", ENCODER, "--no-rerank", "--json")
    assert len(found.json["results"]) == 6


def test_with_a_token_the_address_to_open_holds_it(db):
    with started(db, "--no-rerank", "--access-token", "a b&c") as (_, url):
        assert httpx.get(url).status_code == 303
        assert httpx.get(url.split("?")[0]).status_code == 401


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.0.7"])
def test_others_are_not_served_without_a_token(mmrag, bind):
    ran = mmrag("serve", "--bind", bind)
    assert ran.code == 1
    assert f"--bind {bind} can be reached by others" in ran.err
    assert "--access-token" in ran.err


def test_a_port_that_is_taken_is_told_with_what_to_type(mmrag):
    with socket.create_server(("127.0.0.1", 0)) as other:
        ran = mmrag("serve", "--port", other.getsockname()[1])
    assert ran.code == 1
    assert "--port 0 takes a free one" in ran.err


def test_without_the_extra_it_says_what_to_install(mmrag, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "mmrag[web]"' in mmrag("serve").err


def test_help_shows_an_example(mmrag):
    assert "Example: mmrag serve --db shop.db" in mmrag("serve", "--help").out
