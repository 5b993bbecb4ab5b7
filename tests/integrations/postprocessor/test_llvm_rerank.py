"""LLVMRerank puts nodes in the order that the LLM sees, for whatever the query holds."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.schema import QueryBundle
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from mock_llm import REVERSED, chatting, ids
from PIL import Image

from mmrag.errors import ImageError, QueryError
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MockVision, looking, reversing


def brightness(image):
    return image.convert("L").getpixel((60, 60))


@pytest.mark.parametrize(
    "llm",
    [MockVision(reversing()), ListwiseReranker(MockVision(reversing())), chatting("a leopard", REVERSED)],
    ids=["vision LLM", "core reranker", "LlamaIndex LLM"],
)
def test_an_llm_that_reverses_reverses_the_nodes(llm, nodes, bundle):
    reranked = LLVMRerank(llm=llm).postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"987654321"]


def test_the_order_is_what_is_seen(nodes, bundle):
    reranked = LLVMRerank(llm=MockVision(looking(brightness))).postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"987654321"]
    assert [found.score for found in reranked] == sorted(25 * k for k in range(1, 10))[::-1]


def test_a_list_longer_than_the_window_keeps_all_nodes(nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(looking(brightness)), window=4)
    reranked = ids(rerank.postprocess_nodes(nodes, bundle))
    assert sorted(reranked) == [*"123456789"]
    assert reranked[0] == "9"


@pytest.mark.parametrize(("top_n", "count"), [(None, 9), (3, 3), (99, 9)])
def test_top_n_is_the_most_that_comes_back(top_n, count, nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(reversing()), top_n=top_n)
    assert len(rerank.postprocess_nodes(nodes, bundle)) == count


def test_the_query_image_reaches_the_llm(nodes, bundle):
    asked = []
    LLVMRerank(llm=chatting(REVERSED, asked=asked)).postprocess_nodes(nodes, bundle)
    blocks = [block for block in asked[0][0].blocks if isinstance(block, ImageBlock)]
    composite = Image.open(blocks[0].resolve_image())
    assert composite.size == (1344, 1008)
    red, green, blue = composite.getpixel((168, 250))
    assert red > 240 and 150 < green < 180 and blue < 20  # orange, as in the query's cell


def test_a_markdown_image_in_the_string_is_the_query_image(nodes, shades):
    llm = MockVision(reversing())
    query = f"a bag with this ![]({shades / 'leopard.png'})"
    LLVMRerank(llm=llm).postprocess_nodes(nodes, query_str=query)
    assert llm.requests[0].image.getpixel((48, 60)) == (255, 165, 0)
    assert "<wish>a bag with this</wish>" in llm.requests[0].prompt


def test_words_alone_are_a_query(nodes):
    llm = MockVision(reversing())
    assert len(LLVMRerank(llm=llm).postprocess_nodes(nodes, query_str="a bag")) == 9
    assert llm.chats == []


@pytest.mark.parametrize("query", [None, QueryBundle(""), QueryBundle("![](a.jpg) ![](b.jpg)")])
def test_a_query_that_asks_nothing_is_told(nodes, query):
    with pytest.raises(QueryError):
        LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, query)


def test_a_query_image_that_cannot_be_read_is_told(nodes):
    with pytest.raises(ImageError, match=r"gone\.png"):
        LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, QueryBundle("a bag", image_path="gone.png"))
