"""Whatever the LLM answers, LLVMRerank returns each of n nodes once, in the order of the valid labels."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle
from llama_index.postprocessor.llvm_rerank import LlamaIndexChatClient, LLVMRerank
from PIL import Image
from run_profile import scaled

from mmrag.testing import MALFORMED
from mmrag.vision import RankingConfig
from mmrag.vision.parsing import parse_answer
from mmrag.vision.remote.instructor import InstructorVision

SMALL = RankingConfig(method="grades", cell=48)  # hundreds of composites are drawn
QUERY = QueryBundle("a bag with this")
FOLLOWED = {
    "one missing": "785324169",
    "duplicate": "312456789",
    "zero": "421356789",
    "negative": "421356789",
    "beyond n": "421356789",
    "prose": "421356789",
    "relevance in words": "429135678",
    "fenced JSON": "429135678",
    "truncated JSON": "429135678",
    "refusal": "123456789",
    "empty": "123456789",
}


@pytest.fixture(scope="module")
def nine(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "a.png"
    Image.new("RGB", (8, 8), "red").save(path)
    return [NodeWithScore(node=ImageNode(id_=str(k), image_path=str(path))) for k in range(1, 10)]


def reranked(answer, nodes, ranking_config=None):
    def chat(messages, **_):
        if isinstance(answer, Exception):
            raise answer
        return ChatMessage(answer, role="assistant")

    llm = MockFunctionCallingLLM(response_generator=chat)
    vision = InstructorVision(LlamaIndexChatClient(llm), ranking_config=ranking_config) if ranking_config else llm
    return LLVMRerank(llm=vision, caption=False).postprocess_nodes(nodes, QUERY)


@pytest.mark.parametrize("row", MALFORMED)
def test_malformed_answers_keep_all_nodes_and_what_was_valid(row, nine):
    found = reranked(MALFORMED[row], nine)
    assert "".join(n.node.node_id for n in found) == FOLLOWED[row]
    assert all(n.node.metadata["llvm_rerank"]["repaired"] for n in found)


@pytest.mark.parametrize("error", [RuntimeError("boom"), TimeoutError(), ValueError("not JSON")])
def test_an_exception_of_the_llm_keeps_all_nodes(error, nine):
    assert [n.node.node_id for n in reranked(error, nine)] == [*"123456789"]


def test_a_complete_answer_is_not_marked_repaired(nine):
    grades = {str(label): label for label in range(1, 10)} | {"reason": "the last"}
    found = reranked(json.dumps(grades), nine)
    assert [n.node.node_id for n in found] == [*"987654321"]
    assert not any(n.node.metadata["llvm_rerank"]["repaired"] for n in found)


numbers = st.integers(-2, 12)
answers = st.one_of(
    st.lists(numbers).map(json.dumps),
    st.dictionaries(numbers.map(str), numbers).map(json.dumps),
    st.dictionaries(numbers.map(str), numbers).map(lambda grades: json.dumps(grades)[:-3]),
    st.lists(numbers).map(lambda labels: "\n".join(f"Doc: {x}, Relevance: high" for x in labels)),
    st.text(alphabet='0123456789[]{}":,->. \nitem', max_size=40),
    st.text(max_size=30),
)


# Ten thousand answers go through the reader alone in tests/vision/test_reading.py.
@settings(max_examples=scaled(fast=40, full=400))
@given(answer=answers)
def test_no_answer_loses_or_duplicates_a_node(answer, nine):
    order = [int(n.node.node_id) for n in reranked(answer, nine, SMALL)]
    assert sorted(order) == list(range(1, 10))
    valid = list(dict.fromkeys(x for x in parse_answer(answer).labels if 1 <= x <= 9))
    assert order[: len(valid)] == valid
