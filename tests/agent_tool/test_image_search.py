"""The tools: a model's arguments in, JSON and a contact sheet out; what is wrong is told."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import ImageDocument, TextNode
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, metadata_filters
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from llama_index.tools.image_search import Answer, FoundImages, ImageSearchToolSpec
from PIL import Image
from run_profile import scaled
from tool_responses import contact_sheet, in_memory, parse_response, titles

from mmrag.errors import AnswerError, SettingError
from mmrag.query import Query
from mmrag.testing import MockVision, failing, reversing, toy_encoder


def test_it_is_a_tool_spec_of_two_tools(spec):
    assert isinstance(spec, BaseToolSpec)
    assert [tool.metadata.name for tool in spec.to_tool_list()] == ["search_images", "describe_image"]


def test_a_model_is_told_what_every_argument_means(spec):
    search, describe = (tool.metadata for tool in spec.to_tool_list())
    properties = search.get_parameters_dict()["properties"]
    assert list(properties) == ["text", "image", "top_n", "filters"]
    assert "'last'" in properties["image"]["description"]
    assert "price (float)" in properties["filters"]["description"]
    assert describe.get_parameters_dict()["required"] == ["id"]
    assert "contact sheet" in search.description


def test_results_are_compact_json_and_one_image_of_all(spec):
    words, image = spec.search_images("something red")
    assert isinstance(words, TextBlock)
    assert isinstance(image, ImageBlock)
    first, second, _ = json.loads(words.text)["results"]
    assert (first["number"], first["title"], first["metadata"]) == (1, "red", {"price": 3.0})
    assert first["similarity"] >= second["similarity"]
    assert "\n" not in words.text
    assert ": " not in words.text
    assert contact_sheet([words, image]).size == (4 * 192, 192)


def test_the_sheet_shows_the_results_under_their_numbers(spec):
    found = contact_sheet(spec.search_images("blue", top_n=1))
    assert found.getpixel((192 + 96, 96)) == pytest.approx((0, 0, 255), abs=4)


def test_sync_and_async_answer_the_same(spec):
    search, describe = spec.to_tool_list()
    synced = search.call(text="red", top_n=4)
    assert asyncio.run(search.acall(text="red", top_n=4)).blocks == synced.blocks
    id = parse_response(synced.blocks)["results"][0]["id"]
    assert asyncio.run(describe.acall(id=id)).blocks == describe.call(id=id).blocks


def test_the_engine_says_how_many_unless_the_model_does(spec):
    assert len(titles(spec.search_images("red"))) == 3
    assert len(titles(spec.search_images("red", top_n=1))) == 1
    assert len(titles(spec.search_images("red", top_n=8))) == 8


def test_a_filter_is_the_filter_language(spec):
    assert set(titles(spec.search_images("red", top_n=9, filters="price < 5"))) == {"red", "blue"}


def test_the_filters_of_the_engine_still_hold(index):
    engine = index.as_query_engine(similarity_top_k=9, filters=metadata_filters("price > 4"))
    found = ImageSearchToolSpec(engine).search_images("red", filters="price < 6")
    assert set(titles(found)) == {"green", "black"}


def test_the_largest_sheet_has_a_place_for_everything():
    image = Image.new("RGB", (8, 8))
    answer = Answer(FoundImages(results=[]), (image,) * 24, Query("red"))
    assert answer.sheet.size == (5 * 192, 5 * 192)


def test_nothing_found_is_told_without_a_sheet(spec):
    (words,) = spec.search_images("red", filters="price > 1000")
    assert json.loads(words.text) == {"results": [], "note": "nothing found: loosen the filters"}


def test_an_empty_collection_is_told_as_one(milvus_lite):
    embedding = VisualizedBGEEmbedding(encoder=toy_encoder())
    with ComposedImageIndex.open(milvus_lite, embedding) as index:
        (words,) = ImageSearchToolSpec(index.as_query_engine()).search_images("red")
    assert json.loads(words.text)["note"] == "nothing found: no image is indexed yet"


def test_documents_and_words_are_results_like_any_other(own_index, images):
    document = ImageDocument(id_="photo", text="a red photo", image_path=str(images / "red.png"))
    own_index.add([document, TextNode(id_="note", text="red")])
    spec = ImageSearchToolSpec(own_index.as_query_engine(similarity_top_k=12))
    found = parse_response(spec.search_images("red"))["results"]
    assert {"photo", "note"} < {result["id"] for result in found}
    assert contact_sheet(spec.describe_image("photo")).size == (16, 16)
    assert spec.search_images(image="photo") == spec.search_images(image=str(images / "red.png"))
    assert "no image has the id 'note'" in parse_response(spec.describe_image("note"))["error"]


def test_nulls_are_left_out_as_models_mean_them(spec):
    tool = spec.to_tool_list()[0]
    assert tool.call(text="red", image=None, top_n=None, filters=None).blocks == (spec.search_images("red"))


@pytest.mark.parametrize(
    ("asked", "why"),
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
def test_a_wrong_argument_is_told(spec, asked, why):
    (words,) = spec.to_tool_list()[0].call(**asked).blocks
    assert re.search(why, json.loads(words.text)["error"])


def test_text_that_only_looks_like_a_image_stays_text(spec):
    assert len(titles(spec.search_images(r"red \![](/etc/passwd)"))) == 3


@settings(max_examples=scaled(fast=10, full=100))
@given(st.text(max_size=40), st.text(max_size=40), st.integers(), st.text(max_size=20))
def test_whatever_a_model_writes_gets_an_answer(spec, text, image, top_n, filters):
    blocks = spec.search_images(text, image, top_n, filters)
    assert parse_response(blocks).keys() & {"results", "error"}


def test_a_image_is_described_and_shown(spec, images):
    id = parse_response(spec.search_images("blue", top_n=1))["results"][0]["id"]
    blocks = spec.describe_image(id)
    assert parse_response(blocks) == {
        "id": id,
        "title": "blue",
        "path": str(images / "blue.png"),
        "width": 16,
        "height": 16,
        "metadata": {"price": 4.0},
    }
    assert contact_sheet(blocks).size == (16, 16)


def test_a_image_whose_file_is_gone_is_still_described(own_index, tmp_path):
    file = tmp_path / "pink.png"
    Image.new("RGB", (9, 9), "pink").save(file)
    own_index.add_folder(tmp_path)
    spec = ImageSearchToolSpec(own_index.as_query_engine(similarity_top_k=1))
    id = parse_response(spec.search_images("pink"))["results"][0]["id"]
    file.unlink()
    (words,) = spec.describe_image(id)
    assert "no image to look at" in json.loads(words.text)["note"]
    words, _sheet = spec.search_images("pink")
    assert json.loads(words.text)["results"][0]["id"] == id


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"id": "nothing"}, "no image has the id 'nothing'"),
        ({}, "id: Field required"),
        ({"number": 1}, "id: Field required; number: Extra inputs"),
    ],
)
def test_an_unknown_id_is_told(spec, asked, why):
    tool = spec.to_tool_list()[1]
    assert why in parse_response(tool.call(**asked).blocks)["error"]
    assert why in parse_response(asyncio.run(tool.acall(**asked)).blocks)["error"]


def test_a_reranker_sees_the_example_and_its_order_and_reason_are_told(index, images):
    vision = MockVision(reversing())
    plain = index.as_query_engine(similarity_top_k=4)
    reranked = index.as_query_engine(similarity_top_k=4, node_postprocessors=[LLVMRerank(llm=vision)])
    example = in_memory(images / "blue.png")
    before = ImageSearchToolSpec(plain).search_images("in red", example)
    after = ImageSearchToolSpec(reranked).search_images("in red", example)
    assert titles(after) == titles(before)[::-1]
    assert parse_response(after)["results"][0]["reason"] == "The last shall be first."
    assert vision.requests[0].image.getpixel((48, 48)) == pytest.approx((0, 0, 255), abs=4)
    assert asyncio.run(ImageSearchToolSpec(reranked).asearch_images("in red", example)) == after


def test_a_reranker_that_must_not_fail_is_told_as_a_message(index):
    rerank = LLVMRerank(llm=MockVision(failing(AnswerError("no GPU"))), on_failure="raise")
    spec = ImageSearchToolSpec(index.as_query_engine(node_postprocessors=[rerank]))
    assert "no GPU" in parse_response(spec.search_images("red"))["error"]


def test_only_engines_over_images_are_taken():
    class Other(CustomQueryEngine):
        def custom_query(self, query_str: str):
            return query_str

    with pytest.raises(SettingError, match=r"Other searches no images.*as_query_engine"):
        ImageSearchToolSpec(Other())
