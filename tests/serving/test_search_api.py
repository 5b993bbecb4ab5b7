"""POST /search: requests as JSON or form, responses at once or line by line."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

from mmrag.datasets import draw_product
from mmrag.errors import AnswerError
from mmrag.testing import MockVision, failing, malformed

NDJSON = {"Accept": "application/x-ndjson"}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def blue_mug() -> bytes:
    return png(draw_product("mug", "plain", "blue", 7))


def titles(response) -> list[str]:
    return [result["title"] for result in response["results"]]


def test_every_result_has_its_rank_and_retrieval_rank(client):
    response = client.post("/search", json={"text": "red"}).json()
    assert response["stage"] == "reranked"
    assert [r["rank"] for r in response["results"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [r["retrieval_rank"] for r in response["results"]] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert response["reason"] == "The last shall be first."
    assert {"encode", "search", "rank"} <= set(response["timings_ms"])


def test_without_reranking_the_order_is_that_of_retrieval(client):
    response = client.post("/search", json={"text": "red", "rerank": False, "top": 3}).json()
    assert response["stage"] == "retrieved"
    assert {title.split()[0] for title in titles(response)} == {"red"}
    assert response["calls"] == []


def test_reranking_can_be_switched_off_for_a_server(serve):
    response = serve(rerank=False).post("/search", json={"text": "red", "rerank": True}).json()
    assert response["stage"] == "retrieved"


def test_ndjson_has_a_line_after_retrieval_and_another_after_reranking(client):
    response = client.post("/search", json={"text": "red"}, headers=NDJSON)
    first, second = map(json.loads, response.text.splitlines())
    assert (first["stage"], second["stage"]) == ("retrieved", "reranked")
    assert [r["id"] for r in first["results"]] == [r["id"] for r in second["results"]][::-1]


def test_the_first_line_does_not_wait_for_the_vision_llm(serve, shop, gate):
    import httpx
    from live_server import serving

    from mmrag.serving.app import create_app

    app = create_app(shop.searcher(MockVision(gate)))
    with serving(app) as url, httpx.stream("POST", f"{url}/search", json={"text": "red"}, headers=NDJSON) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["stage"] == "retrieved"
        assert not gate.opened.is_set()
        gate.opened.set()
        assert json.loads(next(lines))["stage"] == "reranked"


def test_a_form_with_an_image_finds_similar_images(client, blue_mug):
    response = client.post(
        "/search",
        data={"text": "", "filter": "", "top": "2", "rerank": "false"},
        files={"image": ("mug.png", blue_mug, "image/png")},
    ).json()
    assert titles(response)[0].startswith("blue")


def test_a_form_without_a_chosen_file_is_a_search_by_text(client):
    empty = {"image": ("", b"", "application/octet-stream")}
    response = client.post("/search", data={"text": "red"}, files=empty).json()
    assert response["query"] == {
        "text": "red", "image_id": None, "image_url": None, "filter": "", "top": 9,
    }  # fmt: skip


def test_a_data_uri_and_a_file_are_the_same_image(client, blue_mug):
    uri = "data:image/png;base64," + base64.b64encode(blue_mug).decode()
    by_uri = client.post("/search", json={"image": uri, "rerank": False}).json()
    by_file = client.post("/search", data={"rerank": "no"}, files={"image": blue_mug}).json()
    assert by_uri["query"] == by_file["query"]
    assert titles(by_uri) == titles(by_file)


def test_an_uploaded_image_can_be_searched_with_again_by_its_id(client, blue_mug):
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
    request = {"text": "red", "filter": 'product == "mug" and price < 12', "rerank": False}
    response = client.post("/search", json=request).json()
    assert {r["metadata"]["product"] for r in response["results"]} == {"mug"}
    assert {r["metadata"]["price"] for r in response["results"]} == {10.0, 11.0}


def test_no_result_is_a_response_without_reranking(client):
    response = client.post("/search", json={"text": "red", "filter": 'product == "boat"'}).json()
    assert (response["stage"], response["results"]) == ("retrieved", [])


def test_unknown_words_of_the_encoder_are_returned(client):
    request = {"text": "dinosaur mug", "rerank": False}
    assert client.post("/search", json=request).json()["unknown_words"] == ["dinosaur"]


def test_repairs_are_returned(serve):
    response = serve(MockVision(malformed("one missing"))).post("/search", json={"text": "red"})
    assert response.json()["repairs"] == ["missing: 9"]


def test_calls_of_the_vision_llm_have_prompt_and_composite(client):
    (call,) = client.post("/search", json={"text": "red"}).json()["calls"]
    assert "red" in call["prompt"]
    composite = Image.open(io.BytesIO(client.get(call["url"]).content))
    assert composite.size[0] >= 5 * 96


def test_no_path_of_the_server_is_revealed(client, shop, blue_mug):
    response = client.post("/search", data={"text": "red"}, files={"image": blue_mug})
    assert str(shop.folder) not in response.text
    assert "/tmp" not in response.text


def test_a_vision_llm_that_fails_degrades_to_retrieval_order(serve):
    response = serve(MockVision(failing(AnswerError("it is tired")))).post("/search", json={"text": "red"})
    assert [r["retrieval_rank"] for r in response.json()["results"]] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert (response.json()["stage"], response.json()["degraded"]) == ("retrieved", True)
    assert response.json()["failures"] == ["it is tired"]
    assert response.json()["repairs"] == []


@pytest.mark.parametrize(
    ("body", "message"),
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
def test_an_invalid_request_is_refused_with_a_message(client, body, message):
    response = client.post("/search", json=body)
    assert response.status_code == 422
    assert message in response.json()["error"]


def test_a_body_is_json_or_a_form(client):
    response = client.post("/search", content=b"red", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    assert "application/json or multipart/form-data, not as text/plain" in response.json()["error"]
    broken = client.post("/search", content=b"{", headers={"Content-Type": "application/json; charset=utf-8"})
    assert (broken.status_code, broken.json()["error"][:20]) == (422, "body: Invalid JSON: ")


def test_a_number_compared_with_text_is_no_server_error(client):
    response = client.post("/search", json={"text": "red", "filter": 'price < "cheap"'})
    assert response.status_code == 422
    assert "the filter on price compares" in response.json()["error"]
