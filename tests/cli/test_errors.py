"""Errors of the commands: one line with the next step on stderr, and nothing is damaged."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.errors import SettingError
from mmrag.serving.security import bind_socket


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A data set of one query and its relevant image."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "queries.jsonl").write_text('{"id": "a", "text": "red dot"}\n')
    (folder / "qrels.txt").write_text("a 0 red 1\n")
    return folder


def command_line(command: str, db: object, dataset: Path) -> list[object]:
    start = {"search": ["dot"], "eval": [db, dataset]}.get(command, [])
    where = [] if command == "eval" else ["--db", db]
    port = ["--port", 0] if command == "serve" else []
    return [command, *start, *where, *port, "--model", ENCODER, "--no-rerank"]


COMMANDS = ["search", "eval", "bench", "serve", "mcp"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_database_is_reported_and_not_created(mmrag, dataset, command):
    ran = mmrag(*command_line(command, "nowhere.db", dataset))
    assert ran.code == 1
    assert ran.err == ("error: nowhere.db does not exist: make it with mmrag index FOLDER --into nowhere.db\n")
    assert not Path("nowhere.db").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_collection_is_reported_and_not_created(mmrag, db, dataset, command):
    ran = mmrag(*command_line(command, db, dataset), "--collection", "mugs")
    assert ran.code == 1
    assert "holds no collection 'mugs', but 'images'" in ran.err
    assert ran.err.count("\n") == 1
    assert [each["name"] for each in mmrag("collections", db, "--json").json] == ["images"]


def test_empty_stdin_is_reported(mmrag, db, monkeypatch):
    for stdin in (SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: False), None):
        monkeypatch.setattr("sys.stdin", stdin)
        ran = mmrag("search", "--db", db, "--model", ENCODER, "--no-rerank", "--image", "-")
        assert ran.code == 1
        assert "no image came" in ran.err
        assert ran.err.count("\n") == 1


def test_text_that_is_no_unicode_is_reported(mmrag, db):
    ran = mmrag("search", "caf\udce9", "--db", db, "--model", ENCODER, "--no-rerank")
    assert ran.code == 1
    assert "UTF-8" in ran.err
    assert ran.err.count("\n") == 1


def test_long_unknown_words_are_cut(mmrag, db):
    ran = mmrag("search", "w" * 5000, "--db", db, "--model", ENCODER, "--no-rerank")
    assert ran.code == 0
    assert len(ran.err) < 500


def test_a_path_that_cannot_be_written_is_named(mmrag, db):
    words = ("search", "dot", "--db", db, "--model", ENCODER, "--no-rerank")
    ran = mmrag(*words, "--html", db)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"error: {db}: Is a directory. ")


@pytest.mark.parametrize("option", ["--sheet", "--html"])
def test_results_are_printed_though_a_file_cannot_be_written(mmrag, db, option):
    words = ("search", "dot", "--db", db, "--model", ENCODER, "--no-rerank", "--json")
    ran = mmrag(*words, option, db / "LOCK" / "out.png")
    assert ran.code == 1
    assert len(ran.json["results"]) == 6


def test_metrics_are_printed_though_the_report_cannot_be_written(mmrag, db, dataset):
    words = ("eval", db, dataset, "--model", ENCODER, "--no-rerank", "--json")
    ran = mmrag(*words, "--report", db / "LOCK" / "out.html")
    assert ran.code == 1
    assert len(ran.json["results"]) == 1


def test_a_file_to_compare_with_that_is_no_evaluation_is_reported(mmrag, db, dataset):
    ran = mmrag("eval", db, dataset, "--model", ENCODER, "--compare", dataset / "qrels.txt")
    assert ran.code == 1
    assert "qrels.txt is no evaluation (Invalid JSON" in ran.err
    assert "> earlier.json" in ran.err


def test_brackets_are_not_markup(mmrag, db, shop):
    words = ("search", "a [blue] [/] dot", "--db", db, "--model", "demo", "--no-rerank")
    mmrag("index", shop, "--into", "demo.db", "--model", "demo")
    ran = mmrag(*words, "--db", "demo.db", "--sheet", "[red].png")
    assert ran.code == 0
    assert "written: [red].png" in ran.err


def test_progress_writes_nothing_when_stderr_is_no_terminal(mmrag, tmp_path):
    ran = mmrag("index", write_sample_catalog(tmp_path), "--into", "new.db", "--model", ENCODER, "--json")
    assert ran.err == ""


def test_a_missing_device_is_a_one_line_error(mmrag, db):
    ran = mmrag("search", "dot", "--db", db, "--model", ENCODER, "--device", "mps", "--no-rerank")
    assert ran.code == 1
    assert "'mps' cannot be used here" in ran.err
    assert len(ran.err) < 400


def test_a_missing_root_is_refused(mmrag, db):
    ran = mmrag("mcp", "--db", db, "--model", ENCODER, "--no-rerank", "--root", "nowhere")
    assert ran.code == 2
    assert "nowhere" in ran.err


@pytest.mark.parametrize("bind", ["203.0.113.1", "nowhere.invalid"])
def test_a_foreign_address_and_a_taken_port_have_different_errors(bind):
    with pytest.raises(SettingError, match="--bind") as refused:
        bind_socket(bind, 0, "secret")
    assert "while attempting" not in str(refused.value)


def test_retries_of_the_hub_client_are_not_logged():
    code = """
import logging, os
from mmrag.cli.main import main
os.environ["MMRAG_TOP"] = "0"
try:
    main(["doctor"])
except SystemExit:
    import huggingface_hub
    logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.count("\n") == 1


def test_a_server_logs_request_failures():
    code = """
import logging
from mmrag.serving.security import bind_socket, run_server, server_url
logging.basicConfig(level=logging.CRITICAL)  # as for every command

async def app(scope, receive, send):
    if scope["type"] == "http":
        logging.getLogger("mmrag.serving.routes").error("a request failed")
        raise RuntimeError("the roof leaks")

listening = bind_socket("127.0.0.1", 0, "")
print(server_url("127.0.0.1", listening), flush=True)
run_server(listening, app)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        url = server.stdout.readline().strip()
        assert httpx.get(url).status_code == 500
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert "a request failed" in err
    assert "the roof leaks" in err
