"""The LlamaIndex tools: compact JSON and a contact sheet as blocks; the search itself is tested in tests/agent_tool."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from llama_index.tools.image_search import ImageSearchToolSpec
from PIL import Image
from tool_responses import contact_sheet, parse_response, titles

from mmrag.images import ImagePolicy


def test_it_is_a_tool_spec_of_two_tools(spec):
    assert isinstance(spec, BaseToolSpec)
    assert [tool.metadata.name for tool in spec.to_tool_list()] == ["search_images", "describe_image"]


def test_every_argument_is_described(spec):
    search, describe = (tool.metadata for tool in spec.to_tool_list())
    properties = search.get_parameters_dict()["properties"]
    assert list(properties) == ["text", "image", "top_n", "filters"]
    assert "'last'" in properties["image"]["description"]
    assert describe.get_parameters_dict()["required"] == ["id"]
    assert "contact sheet" in search.description


def test_results_are_json_and_one_image(spec):
    words, image = spec.search_images("something red")
    assert isinstance(words, TextBlock)
    assert isinstance(image, ImageBlock)
    assert titles([words])[0] == "red"
    assert contact_sheet([words, image]).size == (4 * 192, 192)


def test_sync_and_async_tools_return_the_same(spec):
    search, describe = spec.to_tool_list()
    blocks = search.call(text="red", top_n=4).blocks
    assert asyncio.run(search.acall(text="red", top_n=4)).blocks == blocks
    id = parse_response(blocks)["results"][0]["id"]
    assert asyncio.run(describe.acall(id=id)).blocks == describe.call(id=id).blocks


def test_null_arguments_count_as_left_out(spec):
    tool = spec.to_tool_list()[0]
    assert tool.call(text="red", image=None, top_n=None, filters=None).blocks == spec.search_images("red")


@pytest.mark.parametrize("arguments", [{"text": "red", "color": "red"}, {"image": "/etc/passwd"}, {"image": "last"}])
def test_a_refused_search_is_json_without_an_image(spec, arguments):
    tool = spec.to_tool_list()[0]
    for output in (tool.call(**arguments), asyncio.run(tool.acall(**arguments))):
        assert parse_response(output.blocks).keys() == {"error"}
        assert len(output.blocks) == 1


@pytest.mark.parametrize("arguments", [{"id": "nothing"}, {}, {"number": 1}])
def test_a_refused_description_is_json_without_an_image(spec, arguments):
    tool = spec.to_tool_list()[1]
    for output in (tool.call(**arguments), asyncio.run(tool.acall(**arguments))):
        assert parse_response(output.blocks).keys() == {"error"}
        assert len(output.blocks) == 1


def test_an_upload_is_named_by_its_handle_and_kept_for_64_others(index, images):
    spec = ImageSearchToolSpec(index.as_query_engine(similarity_top_k=1), ImagePolicy(roots=()))
    first = spec.add_upload(images / "green.png")
    assert titles(spec.search_images(image=first)) == ["green"]
    for shade in range(64):
        spec.add_upload(Image.new("RGB", (2, 2), (shade, 0, 0)))
    assert "is not kept" in parse_response(spec.search_images(image=first))["error"]
