"""Ranked images as an answer: typed, readable, the same however the engine is asked."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from pathlib import Path

import pytest
from llama_index.core import SummaryIndex
from llama_index.core.base.llms.types import TextBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent, SynthesizeStartEvent
from llama_index.core.llms import MockFunctionCallingLLM, MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle, TextNode
from llama_index.indices.composed_image import RankedImagesResponse, RankedImagesSynthesizer
from llama_index.postprocessor.llvm_rerank import LLVMRerank

from mmrag.errors import AnswerError
from mmrag.results import RankedImages
from mmrag.testing import MockVision, malformed, oracle, reversing, slow


@pytest.fixture
def engine(index):
    """Retrieves four, and turns their order round."""
    return index.as_query_engine(similarity_top_k=4, node_postprocessors=[LLVMRerank(llm=MockVision(reversing()))])


@pytest.fixture
def wish(images) -> QueryBundle:
    return QueryBundle("in red", image_path=str(images / "blue corner.png"))


def ranked(response) -> list[str]:
    return [item.title for item in response.response.results]


def test_a_result_has_path_title_ranks_and_scores_of_each_image(engine, index, wish, images):
    retrieved = index.as_retriever(similarity_top_k=4).retrieve(wish)
    response = engine.query(wish)
    assert isinstance(response, RankedImagesResponse)
    assert isinstance(response.response, RankedImages)
    assert len(response.response.results) == 4
    for item, found in zip(response.response.results, retrieved[::-1], strict=True):
        assert (item.id, item.path) == (found.node.node_id, found.node.image_path)
        assert item.title == Path(item.path).stem
        assert item.retrieval_rank == 5 - item.rank
        assert item.score == pytest.approx(found.score)
    assert response.response.results[0].reason == "The last shall be first."
    assert {"compose", "rank", "total"} <= set(response.response.timings_ms)
    assert response.response.repairs == ()


def test_the_score_of_a_reranker_stands_beside_that_of_retrieval(index, wish):
    rerank = LLVMRerank(llm=MockVision(oracle(lambda label: label / 10)))
    engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[rerank])
    items = engine.query(wish).response.results
    assert [item.retrieval_rank for item in items] == [3, 2, 1]
    assert [item.rerank_score for item in items] == pytest.approx([0.3, 0.2, 0.1])


def test_source_nodes_stand_in_ranked_order(engine, wish):
    response = engine.query(wish)
    assert [node.node_id for node in response.source_nodes] == [item.id for item in response.response.results]


def test_repairs_of_the_models_answer_are_reported(index, wish):
    rerank = LLVMRerank(llm=MockVision(malformed("duplicate")))
    engine = index.as_query_engine(similarity_top_k=9, node_postprocessors=[rerank])
    assert engine.query(wish).response.repairs


def test_its_text_is_a_short_list_that_can_be_quoted(engine, wish):
    response = engine.query(wish)
    lines = str(response).splitlines()
    assert len(lines) == 4
    first = response.response.results[0]
    assert lines[0] == (f"1. {first.title} ({first.path}), similarity {first.score:.3f}: {first.reason}")


def test_an_answer_survives_json(engine, wish):
    answer = engine.query(wish).response
    assert RankedImages.model_validate_json(answer.model_dump_json()).model_dump() == answer.model_dump()


def test_it_answers_without_any_llm(index, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert isinstance(RankedImagesSynthesizer(), BaseSynthesizer)
    assert ranked(index.as_query_engine(similarity_top_k=1).query("green")) == ["green"]


def test_async_answers_as_sync_does(engine, wish):
    assert ranked(asyncio.run(engine.aquery(wish))) == ranked(engine.query(wish))


def test_one_engine_serves_two_event_loops_one_after_the_other(engine, wish):
    first, second = (asyncio.run(engine.aquery(wish)) for _ in range(2))
    assert ranked(first) == ranked(second) == ranked(engine.query(wish))


def test_sync_and_async_both_work_inside_a_running_loop(engine, wish):
    async def cell():  # as in a notebook
        return engine.query(wish), await engine.aquery(wish)

    synced, awaited = asyncio.run(cell())
    assert ranked(synced) == ranked(awaited)


def test_eight_queries_at_once_get_each_their_own_answer(index, images):
    together = threading.Barrier(4, timeout=60)  # asyncio has five threads on the least machine

    def answer(asked):
        together.wait()  # nobody is answered before four have asked
        return reversing()(asked)

    rerank = LLVMRerank(llm=MockVision(answer), caption=False)
    engine = index.as_query_engine(similarity_top_k=2, node_postprocessors=[rerank])
    files = sorted(images.glob("*.png"))[:8]
    bundles = [QueryBundle("", image_path=str(file)) for file in files]

    async def all_at_once():
        return await asyncio.gather(*map(engine.aquery, bundles))

    responses = asyncio.run(all_at_once())
    # each image finds itself first, and the reranker puts it last
    assert [ranked(response)[-1] for response in responses] == [file.stem for file in files]


def test_a_slow_reranker_leaves_the_loop_free(index):
    rerank = LLVMRerank(llm=MockVision(slow(0.3, reversing())))
    engine = index.as_query_engine(node_postprocessors=[rerank])

    async def watch() -> int:
        query, beats = asyncio.create_task(engine.aquery("red")), 0
        while not query.done():
            await asyncio.sleep(0.01)
            beats += 1
        return beats

    assert asyncio.run(watch()) > 3


def test_the_prompts_of_the_reranker_are_listed_and_changed_through_the_engine(index):
    vision = MockVision(reversing())
    engine = index.as_query_engine(node_postprocessors=[LLVMRerank(llm=vision)])
    prompts = engine.get_prompts()
    assert {"node_postprocessor_0:rank_prompt", "node_postprocessor_0:caption_prompt"} <= set(prompts)
    assert "{query}" in prompts["node_postprocessor_0:rank_prompt"].get_template()
    changed = {"node_postprocessor_0:rank_prompt": PromptTemplate("Best {n} for {query}?")}
    engine.update_prompts(changed)
    engine.query("red")
    assert vision.requests[0].prompt == "Best 2 for red?"


def test_streaming_is_answered_with_what_it_takes(index):
    with pytest.raises(AnswerError, match=r"come all at once.*give an llm"):
        index.as_query_engine(streaming=True)


def test_with_an_llm_the_answer_streams(index):
    engine = index.as_query_engine(llm=MockLLM(), streaming=True, similarity_top_k=1)
    assert "green" in "".join(engine.query("green").response_gen)


def test_with_an_llm_and_multimodal_the_stock_synthesizer_sees_the_images(index, wish):
    shown = []

    def answer(messages, **kwargs):
        shown.extend(block for message in messages for block in message.blocks)
        return message_of("a blue one")

    llm = MockFunctionCallingLLM(response_generator=answer, is_chat_model=True)
    rerank = LLVMRerank(llm=MockVision(reversing()))
    engine = index.as_query_engine(llm=llm, multimodal=True, similarity_top_k=3, node_postprocessors=[rerank])
    response = engine.query(wish)
    assert str(response) == "a blue one"
    assert not isinstance(response, RankedImagesResponse)
    seen = [block.resolve_image().read() for block in shown if block.block_type == "image"]
    assert seen == [Path(n.node.image_path).read_bytes() for n in response.source_nodes]


def test_a_synthesizer_of_ones_own_is_used(index):
    class Shouting(RankedImagesSynthesizer):
        def synthesize(self, query, nodes, additional_source_nodes=None, **kwargs):
            response = super().synthesize(query, nodes, additional_source_nodes, **kwargs)
            response.metadata = {"loud": True}
            return response

    engine = index.as_query_engine(response_synthesizer=Shouting())
    assert engine.query("red").metadata == {"loud": True}


def test_it_works_in_a_stock_engine_and_over_words(index):
    nodes = [NodeWithScore(node=TextNode(text="a red mug", id_="mug"), score=0.5)]
    item = RankedImages.from_nodes(nodes).results[0]
    assert (item.id, item.title, item.path) == ("mug", "a red mug", "")
    engine = RetrieverQueryEngine(index.as_retriever(), RankedImagesSynthesizer())
    assert ranked(engine.query("red"))[0] == "red"


def test_a_retriever_that_gives_no_scores_loses_nothing(images):
    nodes = [TextNode(text="a red mug"), ImageNode(image_path=str(images / "red.png"))]
    engine = RetrieverQueryEngine(
        SummaryIndex(nodes).as_retriever(),
        RankedImagesSynthesizer(),
        node_postprocessors=[LLVMRerank(llm=MockVision(reversing()))],
    )
    answer = engine.query("a mug").response
    assert [item.title for item in answer.results] == ["red", "a red mug"]
    assert [item.score for item in answer.results] == [0, 0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_an_answer_can_be_copied_and_sent_to_another_process(engine, wish, copied):
    response = engine.query(wish)
    arrived = copied(response)
    assert (str(arrived), arrived.response) == (str(response), response.response)
    assert arrived.results == response.response.results  # names are looked up in the answer, as before


@pytest.mark.parametrize("asynchronous", [False, True])
def test_both_event_systems_hear_of_the_synthesis(index, asynchronous):
    heard: list = []

    class Ear(BaseEventHandler):
        def handle(self, event, **_):
            heard.append(event)

    callbacks = LlamaDebugHandler(print_trace_on_end=False)
    synthesizer = RankedImagesSynthesizer(CallbackManager([callbacks]))
    engine = index.as_query_engine(response_synthesizer=synthesizer)
    ear = Ear()
    get_dispatcher().add_event_handler(ear)
    try:
        response = asyncio.run(engine.aquery("red")) if asynchronous else engine.query("red")
    finally:
        get_dispatcher().event_handlers.remove(ear)
    start, end = [e for e in heard if isinstance(e, SynthesizeStartEvent | SynthesizeEndEvent)]
    assert start.query.query_str == "red"
    assert end.response is response
    (pair,) = callbacks.get_event_pairs(CBEventType.SYNTHESIZE)
    assert pair[1].payload[EventPayload.RESPONSE] is response


def message_of(text: str):
    from llama_index.core.llms import ChatMessage

    return ChatMessage(role="assistant", blocks=[TextBlock(text=text)])
