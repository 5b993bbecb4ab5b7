"""No surface that takes an image by reference reads a file or asks a host that it may not."""

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

FILES = {
    "an absolute path": "{home}/secret.png",
    "a path that climbs": "{home}/uploads/../secret.png",
    "a link": "{home}/uploads/link.png",
    "a linked folder": "{home}/uploads/up/secret.png",
}
ADDRESSES = {
    "a file URL": "file://{home}/secret.png",
    "another scheme": "ftp://127.0.0.1:{port}/a.png",
    "this machine": "http://localhost:{port}/a.png",
    "another loopback address": "http://127.0.0.2:{port}/a.png",
    "an address as a number": "http://2130706433:{port}/a.png",
    "an address in octal": "http://0177.0.0.1:{port}/a.png",
    "a short address": "http://127.1:{port}/a.png",
    "IPv6": "http://[::1]:{port}/a.png",
    "IPv4 within IPv6": "http://[::ffff:127.0.0.1]:{port}/a.png",
    "credentials that look like a host": "http://127.0.0.1@localhost:{port}/a.png",
    "the metadata of a cloud": "http://169.254.169.254/latest/a.png",
    "a redirect to a name": "http://127.0.0.1:{port}/to?http://localhost:{port}/a.png",
    "a redirect to IPv6": "http://127.0.0.1:{port}/to?http://[::1]:{port}/a.png",
    "a redirect to a file": "http://127.0.0.1:{port}/to?file://{home}/secret.png",
}
ALLOWED_HOST = "127.0.0.1"
Surface = Callable[[str], str]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """An image nobody may see, a folder of uploads beside it, and two links that lead out."""
    home = tmp_path_factory.mktemp("home").resolve()
    (home / "uploads").mkdir()
    Image.new("RGB", (9, 9), "red").save(home / "secret.png")
    Image.new("RGB", (9, 9), "blue").save(home / "uploads" / "mine.png")
    (home / "uploads" / "link.png").symlink_to(home / "secret.png")
    (home / "uploads" / "up").symlink_to(home)
    return home


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def searcher(home, tmp_path_factory):
    place = str(tmp_path_factory.mktemp("db") / "s.db")
    with ImageSearcher(Settings(db=place, model=ENCODER, hosts=(ALLOWED_HOST,))) as searcher:
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


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(MMRagError) as refused:
        act()
    return str(refused.value)


def by_bundle(index) -> Surface:
    bundle = lambda reference: QueryBundle("this", image_path=reference)  # noqa: E731
    return lambda reference: refusal(lambda: index.as_query_engine().query(bundle(reference)))


def by_text(index) -> Surface:
    engine = index.as_query_engine()
    return lambda reference: refusal(lambda: engine.query(str(Query("this", reference))))


def by_text_in_a_loop(index) -> Surface:
    engine = index.as_query_engine()
    return lambda reference: refusal(lambda: asyncio.run(engine.aquery(str(Query("this", reference)))))


def by_node(index) -> Surface:
    return lambda reference: refusal(lambda: index.add([ImageNode(id_="mine", image_path=reference)]))


def by_tool(index) -> Surface:
    spec = ImageSearchToolSpec(index.as_query_engine(), index._embed_model.image_policy)

    def error(reference: str) -> str:
        (words,) = spec.search_images(image=reference)
        return json.loads(words.text)["error"]

    return error


def by_mcp(index) -> Surface:
    search = ImageSearch(index.as_query_engine(), index._embed_model.image_policy)

    async def error(reference: str) -> str:
        async with Client(create_server(search)) as client:
            answer = await client.call_tool("search_images", {"image": reference})
            assert answer.is_error
            return answer.content[0].text

    return lambda reference: asyncio.run(error(reference))


SURFACES = [by_bundle, by_text, by_text_in_a_loop, by_node, by_tool]
# MCP resolves by the same ImageResolver as the tool, and the page takes ids and uploads alone: a few prove it.
A_FEW = ("an absolute path", "a link", "another loopback address", "a redirect to a name")


@pytest.mark.parametrize("kind", A_FEW)
def test_mcp_refuses_as_the_tool_does(index, home, server, kind):
    reference = (FILES | ADDRESSES)[kind].format(home=home, port=server.server_port)
    assert by_mcp(index)(reference) == json.dumps({"error": by_tool(index)(reference)}, separators=(",", ":"))


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("kind", FILES)
def test_no_file_outside_of_the_allowed_folder_is_read(index, home, surface, kind):
    message = surface(index)(FILES[kind].format(home=home))
    assert "outside of the allowed folders" in message


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("kind", ADDRESSES)
def test_no_other_host_is_asked(index, home, server, surface, kind):
    server.seen.clear()
    message = surface(index)(ADDRESSES[kind].format(home=home, port=server.server_port))
    assert "is on the host" in message or "has the scheme" in message
    only_the_redirect = [path for path, _ in server.seen if not path.startswith("/to?")]
    assert only_the_redirect == []


def test_what_is_allowed_is_read(index, home, server):
    """The refusals above are no accident: the same ways lead to an image that may be seen."""
    index.as_query_engine().query(str(Query("this", f"http://127.0.0.1:{server.server_port}/any.png")))
    index.as_query_engine().query(QueryBundle("", image_path=str(home / "uploads/mine.png")))


@pytest.mark.parametrize("kind", ADDRESSES)
def test_the_command_line_asks_no_other_host(mmrag, searcher, home, server, kind, monkeypatch):
    """Files are those of who types; addresses are held to the hosts that were named."""
    server.seen.clear()
    reference = ADDRESSES[kind].format(home=home, port=server.server_port)
    monkeypatch.setattr("mmrag.search.ImageSearcher.open", lambda _: searcher)
    monkeypatch.setattr(searcher, "close", lambda: None)  # the other tests still need it
    ran = mmrag("search", "this", "--image", reference, "--no-rerank")
    assert ran.code == 1
    assert "is on the host" in ran.err or "has the scheme" in ran.err
    assert [path for path, _ in server.seen if not path.startswith("/to?")] == []


def test_a_table_names_no_other_host_and_nothing_that_is_no_image(mmrag, home, server, tmp_path):
    references = [a.format(home=home, port=server.server_port) for a in ADDRESSES.values()]
    Path("t.csv").write_text("\n".join(["image", *references, "/etc/passwd", "/dev/zero", "mine.png"]))
    Image.new("RGB", (9, 9), "blue").save("mine.png")
    server.seen.clear()
    words = ("index", "t.csv", "--into", "new.db", "--model", ENCODER, "--host", ALLOWED_HOST)
    run = mmrag(*words, "--json").json["runs"][0]
    assert (run["new"], len(run["skipped"])) == (1, len(references) + 2)
    assert all(skip["reason"] for skip in run["skipped"])
    assert [path for path, _ in server.seen if not path.startswith("/to?")] == []
    assert "root:" not in json.dumps(run)


@pytest.mark.parametrize("kind", A_FEW)
@pytest.mark.parametrize("field", ["image_id", "image", "file", "text"])
def test_the_page_takes_ids_and_uploads_and_no_other_reference(searcher, home, server, field, kind):
    server.seen.clear()
    reference = (FILES | ADDRESSES)[kind].format(home=home, port=server.server_port)
    client = TestClient(create_app(searcher, Limits(rerank=False)), base_url="http://127.0.0.1")
    with client:
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
