"""What is too much: images, visitors, time. Each is refused in words, and nothing gets stuck."""

from __future__ import annotations

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from mmrag.errors import BusyError
from mmrag.serving.work_queue import Line
from mmrag.testing import MockVision


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_request_that_says_it_is_too_large_is_not_read(serve):
    client = serve(upload_bytes=1000)
    response = client.post("/search", files={"image": b"x" * 400_000})
    assert response.status_code == 413
    assert response.json()["error"].startswith("the request is larger than 201,333 bytes")


def test_a_request_that_grows_too_large_is_cut_off(serve):
    def drip():
        for _ in range(40):
            yield b"x" * 10_000

    kind = {"Content-Type": "application/json"}
    response = serve(upload_bytes=1000).post("/search", content=drip(), headers=kind)
    assert "content-length" not in response.request.headers
    assert (response.status_code, "larger than" in response.json()["error"]) == (413, True)


def test_a_image_over_the_limit_of_bytes_is_refused(serve):
    response = serve(upload_bytes=1000).post("/search", files={"image": b"x" * 2000})
    assert response.status_code == 422
    assert "the query's image has more than 1,000 bytes" in response.json()["error"]


def test_a_image_of_too_many_pixels_is_refused_before_it_is_decoded(serve):
    response = serve(upload_pixels=10_000).post("/search", files={"image": png((200, 200))})
    assert response.status_code == 422
    assert "40,000 pixels; the limit is 10,000" in response.json()["error"]


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_file_that_is_no_image_is_refused(client, data):
    response = client.post("/search", files={"image": ("a.png", data, "image/png")})
    assert response.status_code == 422
    assert "is no image that can be read" in response.json()["error"]


def test_hostile_images_are_refused_and_no_fault_of_the_server(client, malformed_images, tmp_path):
    malformed_images(tmp_path)
    statuses = {}
    for file in sorted(tmp_path.rglob("*"))[::4]:
        if file.is_file() and not file.is_symlink() and file.stat().st_size < 1_000_000:
            response = client.post("/search", data={"rerank": "no", "top": "1"}, files={"image": file.read_bytes()})
            statuses[file.name] = response.status_code
    assert set(statuses.values()) == {200, 422}


def test_when_all_places_are_taken_the_next_is_told_when_to_come_again(serve, gate):
    client = serve(MockVision(gate), places=1)
    with ThreadPoolExecutor() as visitors:
        first = visitors.submit(client.post, "/search", json={"text": "red"})
        assert gate.waits.wait(30)
        second = client.post("/search", json={"text": "blue"})
        assert second.status_code == 503
        assert int(second.headers["retry-after"]) >= 1
        assert second.json()["error"].startswith("the vision LLM is busy")
        # retrieval has a line of its own: results need not wait for others' rerankings
        quick = client.post("/search", json={"text": "blue", "rerank": False})
        assert quick.status_code == 200
        gate.opened.set()
        assert first.result().json()["stage"] == "reranked"
    assert client.post("/search", json={"text": "blue"}).status_code == 200


def test_a_busy_vision_llm_leaves_the_retrieved_line_and_says_so(serve, gate):
    client = serve(MockVision(gate), places=1)
    with ThreadPoolExecutor() as visitors:
        visitors.submit(client.post, "/search", json={"text": "red"})
        assert gate.waits.wait(30)
        lines = {"Accept": "application/x-ndjson"}
        response = client.post("/search", json={"text": "blue"}, headers=lines)
        gate.opened.set()
    assert '"degraded":true' in response.text.splitlines()[1]
    assert "try again in a moment" in response.text


def test_what_takes_too_long_is_given_up(serve, gate):
    response = serve(MockVision(gate), seconds=0.5).post("/search", json={"text": "red"})
    assert response.status_code == 504
    assert "it took too long" in response.json()["error"]


def test_work_that_nobody_waits_for_keeps_its_place_until_it_is_over():
    gate, line = threading.Event(), Line("model", places=1)

    async def visit():
        with pytest.raises(TimeoutError):
            await line.run(gate.wait, 0.01)
        assert line.taken == 1
        with pytest.raises(BusyError):
            await line.run(int, 1)
        gate.set()
        while line.taken:
            await asyncio.sleep(0.01)
        assert await line.run(lambda: 7, 30) == 7

    asyncio.run(visit())


def test_work_that_has_not_begun_when_its_visitor_leaves_is_never_done():
    gate, line, done = threading.Event(), Line("model", places=2), []

    async def visit():
        first = asyncio.create_task(line.run(gate.wait, 30))
        second = asyncio.create_task(line.run(lambda: done.append("second"), 30))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert line.taken == 1
        gate.set()
        await first

    asyncio.run(visit())
    line.close()
    assert done == []


def test_one_model_is_used_by_one_visitor_at_a_time_in_the_order_they_came():
    line, order, inside = Line("model", places=20), [], []

    def work(number):
        inside.append(number)
        assert len(inside) == 1
        order.append(number)
        inside.remove(number)

    async def visit():
        await asyncio.gather(*(line.run(lambda n=n: work(n), 30) for n in range(20)))

    asyncio.run(visit())
    assert order == list(range(20))


def test_a_failure_frees_its_place():
    line = Line("model", places=1)

    async def visit():
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await line.run(lambda: 1 // 0, 30)
            await asyncio.sleep(0.01)

    asyncio.run(visit())
