"""POST /search: what can be asked, and what comes back, once or line by line."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

from mmrag.datasets import draw_product
from mmrag.errors import AnswerError
from mmrag.testing import MockVision, failing, malformed

LINES = {"Accept": "application/x-ndjson"}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def blue_mug() -> bytes:
    return png(draw_product("mug", "plain", "blue", 7))


def titles(answer) -> list[str]:
    return [result["title"] for result in answer["results"]]


def test_every_result_comes_back_with_its_place_before_and_now(client):
    answer = client.post("/search", json={"text": "red"}).json()
    assert answer["stage"] == "reranked"
    assert [r["rank"] for r in answer["results"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [r["retrieval_rank"] for r in answer["results"]] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert answer["reason"] == "The last shall be first."
    assert {"encode", "search", "rank"} <= set(answer["timings_ms"])


def test_without_reranking_the_order_is_that_of_retrieval(client):
    answer = client.post("/search", json={"text": "red", "rerank": False, "top": 3}).json()
    assert answer["stage"] == "retrieved"
    assert {title.split()[0] for title in titles(answer)} == {"red"}
    assert answer["looks"] == []


def test_a_server_may_offer_no_reranking_at_all(serve):
    answer = serve(rerank=False).post("/search", json={"text": "red", "rerank": True}).json()
    assert answer["stage"] == "retrieved"


def test_lines_come_after_retrieval_and_again_after_reranking(client):
    response = client.post("/search", json={"text": "red"}, headers=LINES)
    first, second = map(json.loads, response.text.splitlines())
    assert (first["stage"], second["stage"]) == ("retrieved", "reranked")
    assert [r["id"] for r in first["results"]] == [r["id"] for r in second["results"]][::-1]


def test_the_first_line_does_not_wait_for_the_vision_llm(serve, shop, gate):
    import httpx
    from live_server import serving

    from mmrag.serving.app import create_app

    app = create_app(shop.searcher(MockVision(gate)))
    with serving(app) as url, httpx.stream("POST", f"{url}/search", json={"text": "red"}, headers=LINES) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["stage"] == "retrieved"
        assert not gate.opened.is_set()
        gate.opened.set()
        assert json.loads(next(lines))["stage"] == "reranked"


def test_a_form_with_a_image_finds_its_like(client, blue_mug):
    answer = client.post(
        "/search",
        data={"text": "", "filter": "", "top": "2", "rerank": "false"},
        files={"image": ("mug.png", blue_mug, "image/png")},
    ).json()
    assert titles(answer)[0].startswith("blue")


def test_a_form_without_a_picked_file_is_a_search_by_text(client):
    empty = {"image": ("", b"", "application/octet-stream")}
    answer = client.post("/search", data={"text": "red"}, files=empty).json()
    assert answer["query"] == {
        "text": "red", "image_id": None, "image_url": None, "filter": "", "top": 9,
    }  # fmt: skip


def test_a_data_uri_and_a_file_are_the_same_image(client, blue_mug):
    uri = "data:image/png;base64," + base64.b64encode(blue_mug).decode()
    by_uri = client.post("/search", json={"image": uri, "rerank": False}).json()
    by_file = client.post("/search", data={"rerank": "no"}, files={"image": blue_mug}).json()
    assert by_uri["query"] == by_file["query"]
    assert titles(by_uri) == titles(by_file)


def test_a_image_of_an_earlier_search_can_be_asked_with_again(client, blue_mug):
    first = client.post("/search", data={"rerank": "no"}, files={"image": blue_mug}).json()
    query = {"text": "", "image_id": first["query"]["image_id"], "rerank": False}
    assert titles(client.post("/search", json=query).json()) == titles(first)
    assert client.get(first["query"]["image_url"]).headers["content-type"] == "image/png"


def test_a_result_can_be_the_next_query_image(client):
    found = client.post("/search", json={"text": "red mug", "top": 1, "rerank": False}).json()
    id = found["results"][0]["id"]
    like = client.post("/search", json={"image_id": id, "top": 1, "rerank": False}).json()
    assert like["results"][0]["id"] == id
    assert like["query"]["image_url"] == f"/images/{id}"


def test_a_filter_leaves_only_what_fits(client):
    asked = {"text": "red", "filter": 'product == "mug" and price < 12', "rerank": False}
    answer = client.post("/search", json=asked).json()
    assert {r["metadata"]["product"] for r in answer["results"]} == {"mug"}
    assert {r["metadata"]["price"] for r in answer["results"]} == {10.0, 11.0}


def test_nothing_found_is_an_answer_without_reranking(client):
    answer = client.post("/search", json={"text": "red", "filter": 'product == "boat"'}).json()
    assert (answer["stage"], answer["results"]) == ("retrieved", [])


def test_words_that_the_encoder_was_never_taught_are_told(client):
    asked = {"text": "dinosaur mug", "rerank": False}
    assert client.post("/search", json=asked).json()["unknown_words"] == ["dinosaur"]


def test_repairs_are_told(serve):
    answer = serve(MockVision(malformed("one missing"))).post("/search", json={"text": "red"})
    assert answer.json()["repairs"] == ["missing: 9"]


def test_what_the_vision_llm_saw_can_be_looked_at(client):
    (look,) = client.post("/search", json={"text": "red"}).json()["looks"]
    assert "red" in look["prompt"]
    composite = Image.open(io.BytesIO(client.get(look["url"]).content))
    assert composite.size[0] >= 5 * 96


def test_no_path_of_the_server_is_told(client, shop, blue_mug):
    answer = client.post("/search", data={"text": "red"}, files={"image": blue_mug})
    assert str(shop.folder) not in answer.text
    assert "/tmp" not in answer.text


def test_a_vision_llm_that_fails_keeps_the_order_and_says_so(serve):
    answer = serve(MockVision(failing(AnswerError("it is tired")))).post("/search", json={"text": "red"})
    assert [r["retrieval_rank"] for r in answer.json()["results"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert (answer.json()["degraded"], answer.json()["error"]) == (True, "it is tired")
    assert answer.json()["repairs"] == []


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({}, "the query is empty"),
        ({"text": "   "}, "the query is empty"),
        ({"text": "red", "filter": "price <"}, "filter, column 8: expected a value"),
        ({"image_id": "no-such-id"}, "no image with the id 'no-such-id'"),
        ({"image_id": "a' or id != '"}, "image_id: String should match pattern"),
        ({"image": "data:text/plain,hello"}, "is no image that can be read"),
        ({"image": "data:,", "image_id": "a"}, "the query has two images"),
        ({"text": "red", "top": 51}, "top: Input should be less than or equal to 50"),
        ({"text": "red", "color": "blue"}, "color: Extra inputs are not permitted"),
        ({"text": "x" * 2001}, "text: String should have at most 2000 characters"),
    ],
)
def test_a_question_that_cannot_be_searched_for_is_told_why(client, question, told):
    response = client.post("/search", json=question)
    assert response.status_code == 422
    assert told in response.json()["error"]


def test_a_body_is_json_or_a_form(client):
    response = client.post("/search", content=b"red", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    assert "application/json or multipart/form-data, not as text/plain" in response.json()["error"]
    broken = client.post("/search", content=b"{", headers={"Content-Type": "application/json; charset=utf-8"})
    assert (broken.status_code, broken.json()["error"][:20]) == (422, "body: Invalid JSON: ")


def test_a_number_compared_with_a_word_is_no_fault_of_the_server(client):
    response = client.post("/search", json={"text": "red", "filter": 'price < "cheap"'})
    assert response.status_code == 422
    assert "the filter on price compares" in response.json()["error"]
