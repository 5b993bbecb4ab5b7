"""Fixtures of every test that types a command: the program in this process, an LLM server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from mmrag.cli.main import main
from mmrag.testing import completion


class Ran(NamedTuple):
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Commands run in an empty folder, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def mmrag(capsys, own_folder) -> Callable[..., Ran]:
    """Runs `mmrag …` in this process."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        code = leaving.value.code
        out, err = capsys.readouterr()
        return Ran(code if isinstance(code, int) else int(bool(code)), out, err)

    return run


class ChatHandler(BaseHTTPRequestHandler):
    """Answers each chat by what the test set as `answer`."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = completion(self.server.answer(asked)).model_dump_json().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class ChatServer(ThreadingHTTPServer):
    answer: Callable[[dict[str, Any]], str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def llm_server() -> Iterator[ChatServer]:
    """An OpenAI-compatible server on loopback."""
    server = ChatServer(("127.0.0.1", 0), ChatHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
