"""LLVMRerank reranks nodes with any kind of model, for queries with and without an image."""

from __future__ import annotations

import asyncio

import pytest
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.schema import QueryBundle
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from mock_llm import REVERSED, chatting, ids
from PIL import Image

from mmrag.errors import ImageError, QueryError, SettingError
from mmrag.ranking import Ranking
from mmrag.rerank import ListwiseReranker, PointwiseReranker, RerankResult
from mmrag.testing import MockVision, looking, reversing


def brightness(image):
    return image.convert("L").getpixel((60, 60))


class Brightness:
    name = "brightness-scorer"

    def score(self, query, candidates):
        return [brightness(image.resize((96, 96))) for image in candidates]


class Reversing:
    """A reranker of a user's own."""

    def rerank(self, query, candidates, top_n=None):
        order = list(range(len(candidates), 0, -1))
        return RerankResult(Ranking(order=order), tuple(order[:top_n]))

    async def arerank(self, query, candidates, top_n=None):
        return self.rerank(query, candidates, top_n)


RERANKERS = [ListwiseReranker(MockVision(reversing())), PointwiseReranker(Brightness()), Reversing()]


@pytest.mark.parametrize(
    "llm",
    [MockVision(reversing()), chatting("a leopard", REVERSED), *RERANKERS],
    ids=["vision LLM", "LlamaIndex LLM", "listwise", "pointwise", "user's reranker"],
)
def test_a_reversing_llm_reverses_the_nodes(llm, nodes, bundle):
    rerank = LLVMRerank(llm=llm)
    reranked = rerank.postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"987654321"] and reranked[0].node.metadata["llvm_rerank"]["judged"]
    assert ids(asyncio.run(rerank.apostprocess_nodes(nodes, bundle))) == [*"987654321"]


@pytest.mark.parametrize("reranker", RERANKERS[1:])
def test_a_reranker_without_prompts_lists_none_and_refuses_them(reranker):
    assert LLVMRerank(llm=reranker)._get_prompts() == {}
    with pytest.raises(SettingError, match="uses no prompts"):
        LLVMRerank(llm=reranker, rank_prompt="{query}")


def test_nodes_are_ordered_by_what_the_composite_shows(nodes, bundle):
    reranked = LLVMRerank(llm=MockVision(looking(brightness))).postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"987654321"]
    assert [found.score for found in reranked] == sorted(25 * k for k in range(1, 10))[::-1]


def test_a_list_longer_than_the_window_keeps_all_nodes(nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(looking(brightness)), window=4)
    reranked = ids(rerank.postprocess_nodes(nodes, bundle))
    assert sorted(reranked) == [*"123456789"]
    assert reranked[0] == "9"


@pytest.mark.parametrize(("top_n", "count"), [(None, 9), (3, 3), (99, 9)])
def test_top_n_limits_the_returned_nodes(top_n, count, nodes, bundle):
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


def test_a_markdown_image_in_the_string_is_the_query_image(nodes, gray_folder):
    llm = MockVision(reversing())
    query = f"a bag with this ![]({gray_folder / 'leopard.png'})"
    LLVMRerank(llm=llm).postprocess_nodes(nodes, query_str=query)
    assert llm.requests[0].image.getpixel((48, 60)) == (255, 165, 0)
    assert "<wish>a bag with this</wish>" in llm.requests[0].prompt


def test_text_alone_is_a_query(nodes):
    llm = MockVision(reversing())
    assert len(LLVMRerank(llm=llm).postprocess_nodes(nodes, query_str="a bag")) == 9
    assert llm.chats == []


@pytest.mark.parametrize("query", [None, QueryBundle(""), QueryBundle("![](a.jpg) ![](b.jpg)")])
def test_empty_queries_are_refused(nodes, query):
    with pytest.raises(QueryError):
        LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, query)


def test_a_query_image_that_cannot_be_loaded_raises(nodes):
    with pytest.raises(ImageError, match=r"gone\.png"):
        LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, QueryBundle("a bag", image_path="gone.png"))
