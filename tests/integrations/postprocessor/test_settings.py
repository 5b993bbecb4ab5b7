"""Settings and prompts of LLVMRerank: validated, changed, listed, copied and pickled."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from mock_llm import ids

from mmrag.errors import SettingError
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MockVision, reversing
from mmrag.vision.base import VisionLLM


def test_invalid_settings_are_refused_at_once():
    with pytest.raises(SettingError, match="window=99"):
        LLVMRerank(llm=MockVision(reversing()), window=99)
    with pytest.raises(ValueError, match="greater than 0"):
        LLVMRerank(llm=MockVision(reversing()), top_n=0)
    with pytest.raises(ValueError, match=r"windows\s+Extra inputs are not permitted"):
        LLVMRerank(llm=MockVision(reversing()), windows=4)


@pytest.mark.parametrize("change", ["set", "copied"])
def test_a_setting_changed_later_is_used(change, nodes, bundle):
    llm = MockVision(reversing())
    rerank = LLVMRerank(llm=llm)
    if change == "set":
        rerank.window = 4
    else:
        rerank = rerank.model_copy(update={"window": 4})
    rerank.postprocess_nodes(nodes, bundle)
    assert {request.n for request in llm.requests} == {3, 4}


def test_prompts_can_be_read_and_replaced(nodes, bundle):
    llm = MockVision(reversing())
    rerank = LLVMRerank(llm=llm)
    prompts = rerank._get_prompts()
    assert set(prompts) == {"rank_prompt", "caption_prompt"}
    assert "{query}" in prompts["rank_prompt"].get_template()
    rerank._update_prompts({"rank_prompt": PromptTemplate("only {n} for {query}")})
    rerank.postprocess_nodes(nodes, bundle)
    assert llm.requests[0].prompt == "only 9 for a bag with this"
    assert rerank._get_prompts()["caption_prompt"] == prompts["caption_prompt"]


def test_a_ready_listwise_reranker_takes_other_prompts(nodes, bundle):
    llm = MockVision(reversing())
    rerank = LLVMRerank(llm=ListwiseReranker(llm, window=4), rank_prompt="{query}!")
    rerank.postprocess_nodes(nodes, bundle)
    assert {(request.prompt, request.n) for request in llm.requests} >= {("a bag with this!", 4)}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copies_keep_a_replaced_prompt(copied):
    rerank = LLVMRerank(llm=MockVision(reversing()))
    rerank._update_prompts({"rank_prompt": PromptTemplate("only {query}")})
    assert copied(rerank)._get_prompts()["rank_prompt"].get_template() == "only {query}"


def test_a_deep_copy_shares_the_model():
    llm = MockVision(reversing())
    llm.lock = threading.Lock()  # as real ones have, and clients of servers
    rerank = copy.deepcopy(LLVMRerank(llm=llm, window=4))
    assert (rerank.window, rerank.reranker.vlm) == (4, llm)


def test_prompts_can_be_given(nodes, bundle):
    llm = MockVision(reversing(), caption="spots")
    LLVMRerank(llm=llm, rank_prompt="{caption}!", caption_prompt="What?").postprocess_nodes(nodes, bundle)
    assert (llm.requests[0].prompt, llm.chats) == ("spots!", ["What?"])


def test_it_is_a_llama_index_postprocessor():
    assert LLVMRerank.class_name() == "LLVMRerank"
    assert BaseNodePostprocessor.__name__ in [base.__name__ for base in LLVMRerank.__mro__]


def test_to_dict_holds_the_settings_without_the_llm():
    settings = LLVMRerank(llm=MockVision(reversing()), top_n=3).to_dict()
    assert (settings["top_n"], settings["class_name"]) == (3, "LLVMRerank")
    assert "llm" not in settings


def test_pickle(nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(reversing()), top_n=2)
    arrived = pickle.loads(pickle.dumps(rerank))
    assert ids(arrived.postprocess_nodes(nodes, bundle)) == ["9", "8"]
    assert isinstance(rerank._llm, VisionLLM)  # the original keeps all it had
