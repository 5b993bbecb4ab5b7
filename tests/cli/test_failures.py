"""What goes wrong on a command line: one line that says what to do, and nothing is harmed."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.errors import SettingError
from mmrag.serving.listening import listen

MMRAG = (sys.executable, "-c", "from mmrag.cli.main import main; main()")


@pytest.fixture
def db(mmrag, tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    shop = write_sample_catalog(tmp_path / "photos")
    assert mmrag("index", shop, "--into", "shop.db", "--model", ENCODER).code == 0
    return tmp_path / "shop.db"


@pytest.fixture
def judged(tmp_path) -> Path:
    """One query, and its answer."""
    folder = tmp_path / "judged"
    folder.mkdir()
    (folder / "queries.jsonl").write_text('{"id": "a", "text": "red dot"}\n')
    (folder / "qrels.txt").write_text("a 0 red 1\n")
    return folder


def words_of(command: str, db: object, judged: Path) -> list[object]:
    start = {"search": ["dot"], "eval": [db, judged]}.get(command, [])
    where = [] if command == "eval" else ["--db", db]
    port = ["--port", 0] if command == "serve" else []
    return [command, *start, *where, *port, "--model", ENCODER, "--no-rerank"]


READING = ["search", "eval", "bench", "serve", "mcp"]


@pytest.mark.parametrize("command", READING)
def test_a_database_that_is_not_there_is_told_and_not_made(mmrag, judged, command):
    ran = mmrag(*words_of(command, "nowhere.db", judged))
    assert ran.code == 1
    assert ran.err == ("error: nowhere.db does not exist: make it with mmrag index FOLDER --into nowhere.db\n")
    assert not Path("nowhere.db").exists()


@pytest.mark.parametrize("command", READING)
def test_a_collection_that_is_not_there_is_told_and_not_made(mmrag, db, judged, command):
    ran = mmrag(*words_of(command, db, judged), "--collection", "mugs")
    assert ran.code == 1
    assert "holds no collection 'mugs', but 'images'" in ran.err
    assert ran.err.count("\n") == 1
    assert [shelf["name"] for shelf in mmrag("collections", db, "--json").json] == ["images"]


def test_nothing_on_stdin_is_told(mmrag, db, monkeypatch):
    for stdin in (SimpleNamespace(buffer=io.BytesIO(), isatty=lambda: False), None):
        monkeypatch.setattr("sys.stdin", stdin)
        ran = mmrag("search", "--db", db, "--model", ENCODER, "--no-rerank", "--image", "-")
        assert ran.code == 1
        assert "no image came" in ran.err
        assert ran.err.count("\n") == 1


def test_words_that_are_no_unicode_are_told(mmrag, db):
    ran = mmrag("search", "caf\udce9", "--db", db, "--model", ENCODER, "--no-rerank")
    assert ran.code == 1
    assert "UTF-8" in ran.err
    assert ran.err.count("\n") == 1


def test_no_long_word_floods_the_terminal(mmrag, db):
    ran = mmrag("search", "w" * 5000, "--db", db, "--model", ENCODER, "--no-rerank")
    assert ran.code == 0
    assert len(ran.err) < 500


def test_a_path_that_cannot_be_written_is_named_without_jargon(mmrag, db):
    words = ("search", "dot", "--db", db, "--model", ENCODER, "--no-rerank")
    ran = mmrag(*words, "--html", db)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"error: {db}: Is a directory. ")


@pytest.mark.parametrize("option", ["--sheet", "--html"])
def test_what_was_found_is_told_though_a_file_cannot_be_written(mmrag, db, option):
    words = ("search", "dot", "--db", db, "--model", ENCODER, "--no-rerank", "--json")
    ran = mmrag(*words, option, db / "LOCK" / "out.png")
    assert ran.code == 1
    assert len(ran.json["results"]) == 6


def test_what_was_measured_is_told_though_the_report_cannot_be_written(mmrag, db, judged):
    words = ("eval", db, judged, "--model", ENCODER, "--no-rerank", "--json")
    ran = mmrag(*words, "--report", db / "LOCK" / "out.html")
    assert ran.code == 1
    assert len(ran.json["results"]) == 1


def test_a_file_to_compare_with_that_is_none_is_told_and_not_to_be_overwritten(mmrag, db, judged):
    ran = mmrag("eval", db, judged, "--model", ENCODER, "--compare", judged / "qrels.txt")
    assert ran.code == 1
    assert "qrels.txt is no evaluation (Invalid JSON" in ran.err
    assert "> earlier.json" in ran.err


def test_brackets_are_told_as_they_stand(mmrag, db):
    words = ("search", "a [blue] [/] dot", "--db", db, "--model", "demo", "--no-rerank")
    mmrag("index", db.parent / "photos", "--into", "demo.db", "--model", "demo")
    ran = mmrag(*words, "--db", "demo.db", "--sheet", "[red].png")
    assert ran.code == 0
    assert "written: [red].png" in ran.err


def test_progress_leaves_nothing_where_it_cannot_be_seen(mmrag, tmp_path):
    ran = mmrag("index", write_sample_catalog(tmp_path), "--into", "new.db", "--model", ENCODER, "--json")
    assert ran.err == ""


def test_a_device_that_is_not_here_is_told_in_one_short_line(mmrag, db):
    ran = mmrag("search", "dot", "--db", db, "--model", ENCODER, "--device", "mps", "--no-rerank")
    assert ran.code == 1
    assert "'mps' cannot be used here" in ran.err
    assert len(ran.err) < 400


def test_a_root_that_is_not_there_is_refused(mmrag, db):
    ran = mmrag("mcp", "--db", db, "--model", ENCODER, "--no-rerank", "--root", "nowhere")
    assert ran.code == 2
    assert "nowhere" in ran.err


def test_the_version_is_told(mmrag):
    ran = mmrag("--version")
    assert ran.code == 0
    assert ran.out.startswith("mmrag 0.")


@pytest.mark.parametrize("bind", ["203.0.113.1", "nowhere.invalid"])
def test_an_address_that_is_not_ours_is_told_apart_from_a_taken_port(bind):
    with pytest.raises(SettingError, match="--bind") as refused:
        listen(bind, 0, "secret")
    assert "while attempting" not in str(refused.value)


def test_a_library_that_tries_again_does_not_talk_over_our_one_line():
    code = """
import logging
from mmrag.cli.main import main
try:
    main(["collections", "nowhere.db"])
except SystemExit:
    import huggingface_hub
    logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.count("\n") == 1


def test_a_server_logs_what_it_calls_a_fault():
    code = """
import logging
from mmrag.serving.listening import address, listen, serve_on
logging.basicConfig(level=logging.CRITICAL)  # as for every command

async def app(scope, receive, send):
    if scope["type"] == "http":
        logging.getLogger("mmrag.serving.faults").error("a request failed")
        raise RuntimeError("the roof leaks")

listening = listen("127.0.0.1", 0, "")
print(address("127.0.0.1", listening), flush=True)
serve_on(listening, app)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        url = server.stdout.readline().strip()
        assert httpx.get(url).status_code == 500
        server.send_signal(signal.SIGTERM)
        _, told = server.communicate(timeout=30)
    assert "a request failed" in told
    assert "the roof leaks" in told


def test_control_c_in_the_demo_says_how_to_go_on(tmp_path):
    words = ["demo", "--folder", str(tmp_path / "demo"), "--queries", "100"]
    # What is started in the background, as a whole test run may be, inherits deafness to Ctrl-C.
    hears = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen([*MMRAG, *words], stderr=subprocess.PIPE, text=True, **hears) as demo:
        deadline = time.monotonic() + 120
        while not any((tmp_path / "demo").glob("catalog/*.jpg")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo.send_signal(signal.SIGINT)
        _, told = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "the same command goes on" in told


def test_what_the_demo_says_to_type_can_be_typed(mmrag):
    ran = mmrag("demo", "--folder", "my demo", "--queries", 1, "--no-rerank")
    command = ran.out.partition("search it yourself: ")[2]
    mmrag_here = f'mmrag() {{ "{sys.executable}" -c "from mmrag.cli.main import main; main()" "$@"; }}'
    done = subprocess.run(["sh", "-c", f"{mmrag_here}\n{command}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mug" in done.stdout
