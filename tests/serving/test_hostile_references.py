"""Every entry point that takes an image by reference reads allowed files and hosts only; tests/images has all kinds."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from image_server import serving
from llama_index.core.schema import ImageNode, QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.tools.image_search import ImageSearchToolSpec
from mcp import Client
from PIL import Image
from sample_catalog import ENCODER

from mmrag.agent_tool.tool import ImageSearch
from mmrag.errors import MMRagError
from mmrag.images import ImagePolicy
from mmrag.query import Query
from mmrag.search import ImageSearcher
from mmrag.serving.app import create_app
from mmrag.serving.mcp import create_server
from mmrag.serving.service import Limits
from mmrag.settings import Settings

ALLOWED_HOST = "127.0.0.1"
FORBIDDEN_FILE = "{home}/uploads/link.png"
FORBIDDEN_ADDRESS = "http://127.0.0.1:{port}/to?http://localhost:{port}/a.png"
FORBIDDEN = {"file": FORBIDDEN_FILE, "address": FORBIDDEN_ADDRESS}
ALLOWED = {"file": "{home}/uploads/mine.png", "address": "http://127.0.0.1:{port}/to?/a.png"}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A secret image, and beside it a folder of uploads with a link to it."""
    home = tmp_path_factory.mktemp("home").resolve()
    (home / "uploads").mkdir()
    Image.new("RGB", (9, 9), "red").save(home / "secret.png")
    Image.new("RGB", (9, 9), "blue").save(home / "uploads" / "mine.png")
    (home / "uploads" / "link.png").symlink_to(home / "secret.png")
    return home


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture
def fill(home, server):
    """Fills in a reference; from then on, the requests of the server are those of the test."""
    server.seen.clear()
    return lambda reference: reference.format(home=home, port=server.server_port)


@pytest.fixture(scope="module")
def searcher(home, tmp_path_factory):
    db = str(tmp_path_factory.mktemp("db") / "s.db")
    with ImageSearcher(Settings(db=db, model=ENCODER, hosts=(ALLOWED_HOST,))) as searcher:
        shop = tmp_path_factory.mktemp("shop")
        Image.new("RGB", (9, 9), "green").save(shop / "green.png")
        searcher.index.add_folder(shop)
        yield searcher


@pytest.fixture(scope="module")
def index(searcher, home) -> ComposedImageIndex:
    """The same index, for callers who may name uploads and one host."""
    policy = ImagePolicy(roots=[home / "uploads"], hosts=[ALLOWED_HOST])
    embedding = VisualizedBGEEmbedding(encoder=searcher.encoder, image_policy=policy)
    return ComposedImageIndex.from_vector_store(searcher.index.vector_store, embedding)


def error_of(act: Callable[[], object]) -> str:
    """The message of a refusal; empty if there is none."""
    try:
        act()
    except MMRagError as error:
        return str(error)
    return ""


def by_bundle(index, reference: str) -> str:
    return error_of(lambda: index.as_query_engine().query(QueryBundle("this", image_path=reference)))


def by_text(index, reference: str) -> str:
    return error_of(lambda: index.as_query_engine().query(str(Query("this", reference))))


def by_text_in_an_event_loop(index, reference: str) -> str:
    return error_of(lambda: asyncio.run(index.as_query_engine().aquery(str(Query("this", reference)))))


def by_node(index, reference: str) -> str:
    return error_of(lambda: index.add([ImageNode(id_="mine", image_path=reference)]))


def by_tool(index, reference: str) -> str:
    spec = ImageSearchToolSpec(index.as_query_engine(), index._embed_model.image_policy)
    return json.loads(spec.search_images(image=reference)[0].text).get("error", "")


def by_mcp(index, reference: str) -> str:
    search = ImageSearch(index.as_query_engine(), index._embed_model.image_policy)

    async def call() -> str:
        async with Client(create_server(search)) as client:
            answer = await client.call_tool("search_images", {"image": reference})
            error = json.loads(answer.content[0].text).get("error", "")
            assert bool(answer.is_error) == bool(error)
            return error

    return asyncio.run(call())


SURFACES = [by_bundle, by_text, by_text_in_an_event_loop, by_node, by_tool, by_mcp]


@pytest.mark.parametrize("surface", SURFACES)
def test_no_file_outside_of_the_allowed_folder_is_read(index, fill, surface):
    assert "outside of the allowed folders" in surface(index, fill(FORBIDDEN_FILE))


@pytest.mark.parametrize("surface", SURFACES)
def test_no_other_host_gets_a_request(index, server, fill, surface):
    assert "is on the host" in surface(index, fill(FORBIDDEN_ADDRESS))
    assert [path for path, _ in server.seen if not path.startswith("/to?")] == []


@pytest.mark.parametrize("kind", ALLOWED)
@pytest.mark.parametrize("surface", SURFACES)
def test_what_is_allowed_is_read(index, fill, surface, kind):
    assert surface(index, fill(ALLOWED[kind])) == ""


def test_the_search_command_requests_no_other_host(mmrag, searcher, server, fill, monkeypatch):
    """Its files are those of the user; addresses are held to the hosts that were named."""
    monkeypatch.setattr("mmrag.search.ImageSearcher.open", lambda _: searcher)
    monkeypatch.setattr(searcher, "close", lambda: None)  # the other tests still need it
    ran = mmrag("search", "this", "--image", fill(FORBIDDEN_ADDRESS), "--no-rerank")
    assert ran.code == 1
    assert "is on the host" in ran.err
    assert [path for path, _ in server.seen if not path.startswith("/to?")] == []
    assert mmrag("search", "this", "--image", fill(ALLOWED["address"]), "--no-rerank").code == 0


def test_a_table_names_no_other_host_and_no_file_that_is_no_image(mmrag, server, fill):
    Path("t.csv").write_text("\n".join(["image", fill(FORBIDDEN_ADDRESS), "/etc/passwd", "/dev/zero", "mine.png"]))
    Image.new("RGB", (9, 9), "blue").save("mine.png")
    words = ("index", "t.csv", "--into", "new.db", "--model", ENCODER, "--host", ALLOWED_HOST)
    run = mmrag(*words, "--json").json["runs"][0]
    assert (run["new"], len(run["skipped"])) == (1, 3)
    assert all(skip["reason"] for skip in run["skipped"])
    assert [path for path, _ in server.seen if not path.startswith("/to?")] == []
    assert "root:" not in json.dumps(run)


@pytest.mark.parametrize("kind", FORBIDDEN)
@pytest.mark.parametrize("field", ["image_id", "image", "file", "text"])
def test_the_page_takes_ids_and_uploads_and_no_other_reference(searcher, home, server, fill, field, kind):
    reference = fill(FORBIDDEN[kind])
    with TestClient(create_app(searcher, Limits(rerank=False)), base_url="http://127.0.0.1") as client:
        if field == "file":
            answer = client.post("/search", files={"image": ("a.png", reference.encode())})
        elif field == "text":
            answer = client.post("/search", json={"text": str(Query("this", reference))})
        else:
            answer = client.post("/search", json={"text": "this", field: reference})
    if field == "text":  # a page has a field for images: Markdown in the text is text
        assert answer.json()["query"]["image_id"] is None
    else:
        assert answer.status_code in (404, 422)
    assert server.seen == []
    secret = base64.b64encode((home / "secret.png").read_bytes()).decode()
    assert secret not in answer.text
