"""Ranked images inside of LlamaIndex's constructions: routers, sub-questions, chats, flows."""

from __future__ import annotations

import asyncio
import json

import pytest
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine
from llama_index.core.llms import ChatMessage, MockFunctionCallingLLM
from llama_index.core.query_engine import RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.query_engine.sub_question_query_engine import SubQuestion
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from llama_index.postprocessor.llvm_rerank import LLVMRerank

from mmrag.query import Query
from mmrag.results import RankedImages
from mmrag.testing import MockVision, reversing


@pytest.fixture
def engine(index):
    rerank = LLVMRerank(llm=MockVision(reversing()))
    return index.as_query_engine(similarity_top_k=3, node_postprocessors=[rerank])


@pytest.fixture
def tool(engine):
    return QueryEngineTool.from_defaults(engine, name="images", description="Finds images.")


class Model:
    """An LLM that answers in turn, and keeps what it read."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.read = list(answers), []
        self.llm = MockFunctionCallingLLM(response_generator=self.answer, is_chat_model=True)

    def answer(self, messages, **kwargs) -> ChatMessage:
        self.read.append("\n".join(str(message.content) for message in messages))
        return ChatMessage(role="assistant", content=self.answers.pop(0))


class Completing(Model):
    """The same, asked for completions as selectors and question generators do."""

    def __init__(self, *answers: str) -> None:
        super().__init__(*answers)
        outer = self

        class LLM(MockFunctionCallingLLM):
            def complete(self, prompt, formatted=False, **kwargs):
                from llama_index.core.llms import CompletionResponse

                outer.read.append(prompt)
                return CompletionResponse(text=outer.answers.pop(0))

            async def acomplete(self, prompt, formatted=False, **kwargs):
                return self.complete(prompt)

        self.llm = LLM(is_chat_model=False)


def test_a_query_engine_tool_quotes_the_list(tool, engine):
    output = tool.call(input="something red")
    assert output.content == str(engine.query("something red"))
    assert output.content.startswith("1. ")
    assert isinstance(output.raw_output.response, RankedImages)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_router_hands_the_typed_answer_through(tool, engine, images, asynchronous):
    query = str(Query("in red", images / "blue.png"))
    model = Completing(json.dumps([{"choice": 1, "reason": "it wants images"}]))
    router = RouterQueryEngine(
        selector=LLMSingleSelector.from_defaults(llm=model.llm), query_engine_tools=[tool], llm=model.llm
    )
    response = asyncio.run(router.aquery(query)) if asynchronous else router.query(query)
    assert "Finds images." in model.read[0]
    assert isinstance(response.response, RankedImages)
    assert str(response) == str(engine.query(query))


def test_sub_questions_are_answered_by_the_list(tool, engine):
    asked = ["something red", "something green"]
    questions = [SubQuestion(sub_question=text, tool_name="images").model_dump() for text in asked]
    generator = Completing(json.dumps(questions))
    writer = Model("Both are there.")
    sub = SubQuestionQueryEngine.from_defaults(
        query_engine_tools=[tool],
        question_gen=LLMQuestionGenerator.from_defaults(llm=generator.llm),
        response_synthesizer=get_response_synthesizer(llm=writer.llm),
        llm=writer.llm,
        use_async=False,
        verbose=False,
    )
    response = sub.query("red and green things")
    assert str(response) == "Both are there."
    for text in asked:
        assert str(engine.query(text)) in writer.read[0]
    assert len(response.source_nodes) == 2 + 2 * 3


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_chat_engine_condenses_the_turns_and_finds_the_images(index, images, asynchronous):
    model = Completing("It is green.", str(Query("in red", images / "green.png")), "Red ones.")
    chat = CondensePlusContextChatEngine.from_defaults(
        retriever=index.as_retriever(similarity_top_k=2),
        llm=model.llm,
        node_postprocessors=[LLVMRerank(llm=MockVision(reversing()))],
    )

    def say(text: str):
        return asyncio.run(chat.achat(text)) if asynchronous else chat.chat(text)

    first, second = say("what is like green?"), say("and in red?")
    assert (str(first), str(second)) == ("It is green.", "Red ones.")
    expected = index.as_retriever(similarity_top_k=2).retrieve(str(Query("in red", images / "green.png")))
    assert [n.node_id for n in second.source_nodes] == [n.node_id for n in expected][::-1]


def test_a_context_chat_engine_reads_titles(index):
    model = Model("Green.")
    chat = ContextChatEngine.from_defaults(retriever=index.as_retriever(similarity_top_k=1), llm=model.llm)
    assert str(chat.chat("green")) == "Green."
    assert "green" in model.read[0]


def test_a_workflow_awaits_the_engine(engine, images):
    class Shop(Workflow):
        @step
        async def find(self, event: StartEvent) -> StopEvent:
            return StopEvent(result=await engine.aquery(event.wish))

    async def run():
        return await Shop(timeout=60).run(wish=str(Query("in red", images / "blue.png")))

    response = asyncio.run(run())
    assert isinstance(response.response, RankedImages)
    assert len(response.response.results) == 3
