"""Tokens, keys and passwords appear in no log, error, report, repr or pickle."""

from __future__ import annotations

import io
import logging
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from image_server import serving
from llama_index.core.schema import MetadataMode
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, milvus_store
from llama_index.tools.image_search import ImageSearchToolSpec
from PIL import Image
from sample_catalog import ENCODER, RERANKER, write_sample_catalog

from mmrag.errors import MMRagError
from mmrag.images import ImagePolicy, load_image
from mmrag.search import ImageSearcher
from mmrag.serving.app import create_app
from mmrag.settings import Settings
from mmrag.testing import toy_encoder
from mmrag.vision import InstructorVision

TOKEN, KEY, DOOR, PASSWORD = "SECRET-token", "SECRET-key", "SECRET-door", "SECRET-password"
NOWHERE = "127.0.0.1:9"


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """All that anybody logs, at DEBUG."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written.getvalue
    root.removeHandler(handler)
    root.setLevel(level)


def traceback_of(error: BaseException) -> str:
    """An error with all that led to it, as a log would show it."""
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(
        db=str(tmp_path / "s.db"), token=TOKEN, llm_key=KEY, llm_url=f"http://{NOWHERE}/v1",
        model=ENCODER, top=2,
    )  # fmt: skip


@pytest.mark.parametrize("uri", [f"http://root:{PASSWORD}@{NOWHERE}", f"ftp://u:{PASSWORD}@{NOWHERE}"])
def test_the_error_of_an_unreachable_server_has_no_token(uri, logged):
    with pytest.raises(MMRagError) as refused:
        milvus_store(uri, "shop", 4, model="toy", token=TOKEN)
    assert "SECRET" not in traceback_of(refused.value) + logged()


def test_an_open_index_does_not_keep_its_token(tmp_path, logged):
    embedding = VisualizedBGEEmbedding(encoder=toy_encoder())
    with ComposedImageIndex.open(tmp_path / "s.db", embedding, token=TOKEN) as index:
        Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
        report = index.add_folder(tmp_path)
        index.as_query_engine().query("red")
        shown = f"{index.vector_store!r} {index.vector_store.to_dict()} {report!r} {report}"
        assert b"SECRET" not in pickle.dumps(index.vector_store)
        assert b"SECRET" not in pickle.dumps(embedding)
    assert "SECRET" not in shown + report._repr_html_() + logged()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"SECRET" not in file.read_bytes()


def test_settings_show_and_pickle_no_secret(settings):
    assert settings.token.get_secret_value() == TOKEN
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "SECRET" not in shown
    assert b"SECRET" not in pickle.dumps(settings)
    assert pickle.loads(pickle.dumps(settings)).db == settings.db


def test_a_key_goes_to_its_server_only(logged):
    llm = InstructorVision.from_openai(base_url=f"http://{NOWHERE}/v1", model="m", api_key=KEY)
    with pytest.raises(MMRagError) as refused:
        llm.rank("Rank.", Image.new("RGB", (9, 9)), 2)
    with pytest.raises(MMRagError) as refused_too:
        llm.chat([{"role": "user", "content": "hi"}])
    shown = traceback_of(refused.value) + traceback_of(refused_too.value) + repr(llm) + repr(vars(llm))
    assert "SECRET" not in shown + logged()
    assert b"SECRET" not in pickle.dumps(llm)


def test_the_error_of_a_url_has_no_password_and_no_query_string(logged):
    url = f"http://me:{PASSWORD}@{NOWHERE}/a.png?token={TOKEN}"
    with pytest.raises(MMRagError) as refused:
        load_image(url, ImagePolicy(hosts=["127.0.0.1"]))
    assert "SECRET" not in traceback_of(refused.value) + logged()


def test_an_image_by_signed_url_is_shown_without_its_signature(mmrag, logged):
    with serving() as server:
        urls = [f"http://127.0.0.1:{server.server_port}/{n}.png?sig={TOKEN}.x" for n in "ab"]
        Path("t.csv").write_text("\n".join(["url", *urls]))
        where = ("--model", ENCODER, "--host", "127.0.0.1")
        ran = [mmrag("index", "t.csv", "--into", "x.db", *where)]
        words = ("search", "dot", "--db", "x.db", "--reranker", RERANKER, *where)
        ran += [mmrag(*words, "--html", "x.html"), mmrag(*words, "--debug")]
    settings = Settings(db="x.db", model=ENCODER)
    with ImageSearcher(settings) as searcher:
        nodes = searcher.index.as_retriever().retrieve("dot")
        engine = searcher.index.as_query_engine()
        answer = engine.query("dot")
        tool_response = ImageSearchToolSpec(engine).search_images("dot")
    assert [node.node.image_url for node in nodes] == urls[:1]  # it can still be opened
    shown = [node.get_content(MetadataMode.LLM) for node in nodes]
    shown += [str(answer), answer._repr_html_(), str(tool_response), logged()]
    shown += [one.out + one.err for one in ran] + [Path("x.html").read_text()]
    assert "b.png" in "".join(shown)
    assert "SECRET" not in "".join(shown)


def test_a_failing_search_shows_no_secret(settings, tmp_path, logged, capfd):
    write_sample_catalog(tmp_path)
    with ImageSearcher(settings) as searcher:
        searcher.index.add_folder(tmp_path)
        client = TestClient(create_app(searcher, token=DOOR), base_url="http://127.0.0.1")
        with client:
            wrong = client.post("/search", json={"text": "red"}, headers={"Authorization": "Bearer x"})
            client.headers["Authorization"] = f"Bearer {DOOR}"
            answer = client.post("/search", json={"text": "red"})
            rest = [client.get(f"/{page}").text for page in ("", "metrics", "health", "nowhere")]
    assert (wrong.status_code, answer.status_code) == (401, 200)
    shown = wrong.text + answer.text + "".join(rest) + logged() + "".join(capfd.readouterr())
    assert "SECRET" not in shown


@pytest.fixture
def secret_settings(tmp_path, monkeypatch):
    """A settings file and variables that are full of secrets, in the current folder."""
    (tmp_path / "mmrag.toml").write_text(f'db = "http://root:{PASSWORD}@{NOWHERE}"\n')
    for name, value in {"TOKEN": TOKEN, "LLM_KEY": KEY, "LLM_URL": f"http://{NOWHERE}/v1", "MODEL": ENCODER}.items():
        monkeypatch.setenv(f"MMRAG_{name}", value)


@pytest.mark.parametrize("words", [["search", "red"], ["doctor"]])
def test_the_command_line_shows_no_secret(mmrag, secret_settings, logged, words):
    ran = mmrag(*words)
    assert NOWHERE in ran.out + ran.err
    assert "SECRET" not in ran.out + ran.err + logged()


def test_debug_output_shows_no_secret(secret_settings, tmp_path):
    program = [sys.executable, "-c", "from mmrag.cli.main import main; main()", "--debug", "search", "red"]
    ran = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)  # logging is set up by process
    assert NOWHERE in ran.stdout + ran.stderr
    assert "SECRET" not in ran.stdout + ran.stderr
