"""Limits of image size, requests in flight and time: each is refused with a message, and nothing gets stuck."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from mmrag.testing import MockVision


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_content_length_over_the_limit_is_refused_unread(serve):
    client = serve(upload_bytes=1000)
    response = client.post("/search", files={"image": b"x" * 400_000})
    assert response.status_code == 413
    assert response.json()["error"].startswith("the request is larger than 201,333 bytes")


def test_a_chunked_body_over_the_limit_is_cut_off(serve):
    def drip():
        for _ in range(40):
            yield b"x" * 10_000

    kind = {"Content-Type": "application/json"}
    response = serve(upload_bytes=1000).post("/search", content=drip(), headers=kind)
    assert "content-length" not in response.request.headers
    assert (response.status_code, "larger than" in response.json()["error"]) == (413, True)


def test_an_image_over_the_byte_limit_is_refused(serve):
    response = serve(upload_bytes=1000).post("/search", files={"image": b"x" * 2000})
    assert response.status_code == 422
    assert "the query's image has more than 1,000 bytes" in response.json()["error"]


def test_an_image_over_the_pixel_limit_is_refused_before_it_is_decoded(serve):
    response = serve(upload_pixels=10_000).post("/search", files={"image": png((200, 200))})
    assert response.status_code == 422
    assert "40,000 pixels; the limit is 10,000" in response.json()["error"]


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_file_that_is_no_image_is_refused(client, data):
    response = client.post("/search", files={"image": ("a.png", data, "image/png")})
    assert response.status_code == 422
    assert "is no image that can be read" in response.json()["error"]


def test_malformed_images_are_no_server_error(client, malformed_images, tmp_path):
    malformed_images(tmp_path)
    statuses = {}
    for file in sorted(tmp_path.rglob("*"))[::4]:
        if file.is_file() and not file.is_symlink() and file.stat().st_size < 1_000_000:
            response = client.post("/search", data={"rerank": "no", "top": "1"}, files={"image": file.read_bytes()})
            statuses[file.name] = response.status_code
    assert set(statuses.values()) == {200, 422}


def test_a_full_queue_responds_503_with_retry_after(serve, gate):
    client = serve(MockVision(gate), queue_size=1)
    with ThreadPoolExecutor() as clients:
        first = clients.submit(client.post, "/search", json={"text": "red"})
        assert gate.waits.wait(30)
        second = client.post("/search", json={"text": "blue"})
        assert second.status_code == 503
        assert int(second.headers["retry-after"]) >= 1
        assert second.json()["error"].startswith("the vision LLM is busy")
        # retrieval has a queue of its own: results need not wait for the rerankings of others
        quick = client.post("/search", json={"text": "blue", "rerank": False})
        assert quick.status_code == 200
        gate.opened.set()
        assert first.result().json()["stage"] == "reranked"
    assert client.post("/search", json={"text": "blue"}).status_code == 200


def test_a_busy_vision_llm_degrades_the_second_line_to_retrieval_order(serve, gate):
    client = serve(MockVision(gate), queue_size=1)
    with ThreadPoolExecutor() as clients:
        clients.submit(client.post, "/search", json={"text": "red"})
        assert gate.waits.wait(30)
        lines = {"Accept": "application/x-ndjson"}
        response = client.post("/search", json={"text": "blue"}, headers=lines)
        gate.opened.set()
    second = json.loads(response.text.splitlines()[1])
    assert (second["stage"], second["degraded"]) == ("retrieved", True)
    assert "try again in a moment" in second["failures"][0]


def test_a_search_over_the_timeout_responds_504(serve, gate):
    response = serve(MockVision(gate), timeout=0.5).post("/search", json={"text": "red"})
    assert response.status_code == 504
    assert "it took too long" in response.json()["error"]
