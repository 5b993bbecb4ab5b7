"""Image search for agents: a model's arguments in, JSON and images out; errors are responses."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import ImageDocument, TextNode
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, metadata_filters
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from PIL import Image
from run_profile import scaled
from tool_responses import parse_response, titles, to_data_uri

from mmrag.agent_tool.schema import SearchImagesOutput
from mmrag.agent_tool.tool import ImageSearch, ToolResponse
from mmrag.errors import AnswerError, SettingError
from mmrag.query import Query
from mmrag.testing import MockVision, failing, reversing, toy_encoder


def test_the_schema_describes_every_argument(image_search):
    properties = image_search.input_schema("'last', ").model_json_schema()["properties"]
    assert list(properties) == ["text", "image", "top_n", "filters"]
    assert "'last', the id of an earlier result" in properties["image"]["description"]
    assert "price (float)" in properties["filters"]["description"]


def test_results_are_compact_json_in_the_words_of_ranked_images(search):
    text = search(text="something red").text
    assert "\n" not in text
    assert ": " not in text
    first, second, _ = json.loads(text)["results"]
    assert first.keys() == {"id", "path", "title", "rank", "retrieval_rank", "score", "metadata"}
    assert (first["rank"], first["title"], first["metadata"]) == (1, "red", {"price": 3.0})
    assert first["score"] >= second["score"]


def test_the_contact_sheet_shows_the_results_under_their_ranks(search):
    assert search(text="something red").contact_sheet.size == (4 * 192, 192)
    sheet = search(text="blue", top_n=1).contact_sheet
    assert sheet.getpixel((192 + 96, 96)) == pytest.approx((0, 0, 255), abs=4)


def test_the_largest_contact_sheet_has_a_cell_for_every_result():
    image = Image.new("RGB", (8, 8))
    response = ToolResponse(SearchImagesOutput(results=[]), (image,) * 24, Query("red"))
    assert response.contact_sheet.size == (5 * 192, 5 * 192)


def test_search_and_asearch_return_the_same(image_search):
    arguments = {"text": "red", "top_n": 4}
    response = image_search.search(arguments)
    again = asyncio.run(image_search.asearch(arguments))
    assert again.text == response.text
    assert list(again.contact_sheet.tobytes()) == list(response.contact_sheet.tobytes())
    described = {"id": parse_response(response)["results"][0]["id"]}
    assert asyncio.run(image_search.adescribe(described)).text == image_search.describe(described).text


def test_top_n_is_that_of_the_engine_unless_the_model_gives_one(search):
    assert len(titles(search(text="red"))) == 3
    assert len(titles(search(text="red", top_n=1))) == 1
    assert len(titles(search(text="red", top_n=8))) == 8


def test_filters_are_those_of_the_model_and_of_the_engine(search, index):
    assert set(titles(search(text="red", top_n=9, filters="price < 5"))) == {"red", "blue"}
    engine = index.as_query_engine(similarity_top_k=9, filters=metadata_filters("price > 4"))
    found = ImageSearch(engine).search({"text": "red", "filters": "price < 6"})
    assert set(titles(found)) == {"green", "black"}


def test_no_result_comes_with_a_note_and_without_a_contact_sheet(search):
    response = search(text="red", filters="price > 1000")
    assert json.loads(response.text) == {"results": [], "note": "nothing found: loosen the filters"}
    assert response.contact_sheet is None


def test_an_empty_collection_comes_with_its_own_note(milvus_lite):
    embedding = VisualizedBGEEmbedding(encoder=toy_encoder())
    with ComposedImageIndex.open(milvus_lite, embedding) as index:
        response = ImageSearch(index.as_query_engine()).search({"text": "red"})
    assert parse_response(response)["note"] == "nothing found: no image is indexed yet"


def test_image_documents_and_text_nodes_are_results_like_any_other(own_index, images):
    document = ImageDocument(id_="photo", text="a red photo", image_path=str(images / "red.png"))
    own_index.add([document, TextNode(id_="note", text="red")])
    search = ImageSearch(own_index.as_query_engine(similarity_top_k=12))
    found = parse_response(search.search({"text": "red"}))["results"]
    assert {"photo", "note"} < {result["id"] for result in found}
    assert search.describe({"id": "photo"}).contact_sheet.size == (16, 16)
    by_id, by_path = (search.search({"image": image}).text for image in ("photo", str(images / "red.png")))
    assert by_id == by_path
    assert "no image has the id 'note'" in parse_response(search.describe({"id": "note"}))["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "the query is empty"),
        ({"text": "\ud800"}, "text: "),
        ({"image": "\ud800"}, "image: "),
        ({"image": "  "}, "the query is empty"),
        ({"text": "red", "top_n": 99}, "top_n: .*less than or equal to 24"),
        ({"text": "red", "top_n": "many"}, "top_n: "),
        ({"text": "red", "color": "red"}, "color: "),
        ({"text": "red", "filters": "price <"}, "filter, column 8"),
        ({"text": "red", "filters": "price = 4"}, "filter, column 7"),
        ({"text": "red", "filters": "price < 'x'"}, "filter on price compares.*never hold"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(search, arguments, message):
    response = search(**arguments)
    assert response.is_error
    assert re.search(message, parse_response(response)["error"])


def test_null_arguments_count_as_left_out(search):
    assert search(text="red", image=None, top_n=None, filters=None).text == search(text="red").text


def test_text_that_only_looks_like_an_image_stays_text(search):
    assert len(titles(search(text=r"red \![](/etc/passwd)"))) == 3


@settings(max_examples=scaled(fast=10, full=100))
@given(st.text(max_size=40), st.text(max_size=40), st.integers(), st.text(max_size=20))
def test_whatever_a_model_writes_gets_a_response(search, text, image, top_n, filters):
    response = search(text=text, image=image, top_n=top_n, filters=filters)
    assert parse_response(response).keys() & {"results", "error"}


def test_describe_returns_the_details_and_the_image(search, image_search, images):
    id = parse_response(search(text="blue", top_n=1))["results"][0]["id"]
    response = image_search.describe({"id": id})
    assert parse_response(response) == {
        "id": id,
        "title": "blue",
        "path": str(images / "blue.png"),
        "width": 16,
        "height": 16,
        "metadata": {"price": 4.0},
    }
    assert response.contact_sheet.size == (16, 16)


def test_an_image_whose_file_was_deleted_is_still_found_and_described(own_index, tmp_path):
    file = tmp_path / "pink.png"
    Image.new("RGB", (9, 9), "pink").save(file)
    own_index.add_folder(tmp_path)
    search = ImageSearch(own_index.as_query_engine(similarity_top_k=1))
    id = parse_response(search.search({"text": "pink"}))["results"][0]["id"]
    file.unlink()
    assert "no image to look at" in parse_response(search.describe({"id": id}))["note"]
    response = search.search({"text": "pink"})
    assert parse_response(response)["results"][0]["id"] == id
    assert response.contact_sheet is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "nothing"}, "no image has the id 'nothing'"),
        ({}, "id: Field required"),
        ({"number": 1}, "id: Field required; number: Extra inputs"),
    ],
)
def test_an_unknown_id_is_an_error(image_search, arguments, message):
    response = image_search.describe(arguments)
    assert response.is_error
    assert message in parse_response(response)["error"]


def test_the_reranker_sees_the_example_image_and_its_order_and_reason_are_returned(index, images):
    vision = MockVision(reversing())
    plain = ImageSearch(index.as_query_engine(similarity_top_k=4))
    reranked = ImageSearch(index.as_query_engine(similarity_top_k=4, node_postprocessors=[LLVMRerank(llm=vision)]))
    arguments = {"text": "in red", "image": to_data_uri(images / "blue.png")}
    before, after = plain.search(arguments), reranked.search(arguments)
    assert titles(after) == titles(before)[::-1]
    output = parse_response(after)
    assert output["stage"] == "reranked"
    assert output["results"][0]["reason"] == "The last shall be first."
    assert [result["retrieval_rank"] for result in output["results"]] == [4, 3, 2, 1]
    assert vision.requests[0].image.getpixel((48, 48)) == pytest.approx((0, 0, 255), abs=4)
    assert asyncio.run(reranked.asearch(arguments)).text == after.text


def test_a_reranker_that_fails_degrades_the_response_or_is_an_error(index):
    def search(**settings):
        rerank = LLVMRerank(llm=MockVision(failing(AnswerError("no GPU"))), **settings)
        return parse_response(ImageSearch(index.as_query_engine(node_postprocessors=[rerank])).search({"text": "red"}))

    assert search()["degraded"] is True
    assert "no GPU" in search(on_failure="raise")["error"]


def test_an_engine_that_searches_no_images_is_refused():
    class Other(CustomQueryEngine):
        def custom_query(self, query_str: str):
            return query_str

    with pytest.raises(SettingError, match=r"Other searches no images.*as_query_engine"):
        ImageSearch(Other())
