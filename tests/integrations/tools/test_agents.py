"""Real agents over scripted LLMs: they see the results, and come back to them turns later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage, MockFunctionCallingLLM
from llama_index.core.memory import BaseMemory, ChatMemoryBuffer, Memory
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import ToolMetadata
from llama_index.tools.image_search import ImageSearchToolSpec

from mmrag.agent_tool.schema import SearchImagesInput

SYSTEM = "You help people find images."


@pytest.fixture
def tools(index):
    return ImageSearchToolSpec(index.as_query_engine(similarity_top_k=3)).to_tool_list()


class Scripted:
    """An LLM that says each step in turn; a dict holds the arguments of a call."""

    def __init__(self, *steps: str | Callable[[Scripted], str | dict]) -> None:
        self.steps = list(steps)
        self.seen: list[list[ChatMessage]] = []
        self.llm = MockFunctionCallingLLM(response_generator=self.answer, is_chat_model=True)

    def answer(self, messages, **kwargs) -> ChatMessage:
        self.seen.append(list(messages))
        step = self.steps.pop(0)
        said = step if isinstance(step, str) else step(self)
        if isinstance(said, str):
            return ChatMessage(role="assistant", content=said)
        asked = dict(said)
        call = ToolCallBlock(
            tool_call_id=f"call-{len(self.seen)}", tool_name=asked.pop("tool", "search_images"), tool_kwargs=asked
        )
        return ChatMessage(role="assistant", blocks=[call])

    @property
    def outputs(self) -> list[dict]:
        """What tools answered so far, as the model read it."""
        return [json.loads(m.blocks[0].text) for m in self.seen[-1] if m.role == "tool"]

    @property
    def shown(self) -> list[ImageBlock]:
        """The images of tools that the model has before it."""
        tools = [m for m in self.seen[-1] if m.role == "tool"]
        return [block for m in tools for block in m.blocks if isinstance(block, ImageBlock)]


def titles(outputs: dict) -> list[str]:
    return [result["title"] for result in outputs["results"]]


def converse(agent, *turns, memory: BaseMemory | None = None) -> list[str]:
    memory = memory or ChatMemoryBuffer.from_defaults(token_limit=20_000)

    async def run() -> list[str]:
        return [str(await agent.run(turn, memory=memory)) for turn in turns]

    return asyncio.run(run())


@pytest.mark.parametrize("streaming", [False, True])
def test_a_function_agent_sees_words_and_contact_sheet(tools, streaming):
    model = Scripted(lambda _: {"text": "something red"}, "Here are red ones.")
    agent = FunctionAgent(tools=tools, llm=model.llm, system_prompt=SYSTEM, streaming=streaming)
    assert converse(agent, "red, please") == ["Here are red ones."]
    assert titles(model.outputs[0])[0] == "red"
    (sheet,) = model.shown
    assert sheet.image_mimetype == "image/jpeg"


def test_the_same_in_red_refers_to_result_1_of_the_turn_before(tools, index, images):
    model = Scripted(
        lambda _: {"text": "blue", "filters": "price > 10", "top_n": 2},
        "1 is blue with a corner.",
        lambda m: {"text": "the same in red", "image": m.outputs[-1]["results"][0]["id"]},
        lambda m: {"tool": "describe_image", "id": m.outputs[-1]["results"][2]["id"]},
        "That one is red with a corner.",
    )
    agent = FunctionAgent(tools=tools, llm=model.llm, streaming=False)
    first, second = converse(agent, "blue ones over 10", "now the same in red")
    assert (first, second) == ("1 is blue with a corner.", "That one is red with a corner.")
    found, again, described = model.outputs
    assert titles(found)[0] == "blue corner"
    bundle = QueryBundle("the same in red", image_path=str(images / "blue corner.png"))
    nodes = index.as_retriever(similarity_top_k=3).retrieve(bundle)
    assert titles(again) == [found.node.get_content() for found in nodes]
    assert titles(again)[2] == described["title"] == "red corner"
    assert len(model.shown) == 3


def test_the_image_in_the_users_message_is_found_though_the_model_cannot_copy_it(tools, images):
    model = Scripted(
        lambda _: {"image": "last", "top_n": 1}, "It is green.", lambda _: {"text": "in red", "image": "last"}, "Here."
    )
    data = (images / "green.png").read_bytes()
    shown = ChatMessage(role="user", blocks=[TextBlock(text="this?"), ImageBlock(image=data)])
    agent = FunctionAgent(tools=tools, llm=model.llm, streaming=False)
    converse(agent, shown, ChatMessage(role="user", content="and in red?"))
    first, second = model.outputs
    assert titles(first) == ["green"]
    assert {"green", "red"} <= set(titles(second))


def test_a_tool_by_another_name_finds_the_users_image_too(index, images):
    metadata = ToolMetadata("Find shop images.", "find", SearchImagesInput)
    engine = index.as_query_engine(similarity_top_k=3)
    tools = ImageSearchToolSpec(engine).to_tool_list(func_to_metadata_mapping={"search_images": metadata})
    model = Scripted(lambda _: {"tool": "find", "image": "last", "top_n": 1}, "It is green.")
    shown = [TextBlock(text="this?"), ImageBlock(path=images / "green.png")]
    agent = FunctionAgent(tools=tools, llm=model.llm, streaming=False)
    converse(agent, ChatMessage(role="user", blocks=shown))
    assert titles(model.outputs[0]) == ["green"]


@pytest.mark.parametrize("kind", ["bytes", "path"])
def test_the_last_image_wins_and_the_sheets_of_tools_do_not_count(tools, images, kind):
    def message(name: str) -> ChatMessage:
        place = images / f"{name}.png"
        given = {"path": place} if kind == "path" else {"image": place.read_bytes()}
        return ChatMessage(role="user", blocks=[ImageBlock(**given)])

    last = {"image": "last", "top_n": 1}
    model = Scripted(lambda _: last, "green.", lambda _: last, "blue.")
    agent = FunctionAgent(tools=tools, llm=model.llm, streaming=False)
    converse(agent, message("green"), message("blue"), memory=Memory.from_defaults(kind))
    assert [titles(outputs) for outputs in model.outputs] == [["green"], ["blue"]]


def test_an_image_by_url_in_the_conversation_is_as_confined_as_any(tools):
    model = Scripted(lambda _: {"image": "last"}, "I cannot see it.")
    shown = ChatMessage(role="user", blocks=[ImageBlock(url="http://intranet.example/a.png")])
    converse(FunctionAgent(tools=tools, llm=model.llm, streaming=False), shown)
    assert "is on the host 'intranet.example'" in model.outputs[0]["error"]


def test_an_agent_acts_on_a_refusal(tools, images):
    model = Scripted(
        lambda _: {"image": "/etc/passwd"},
        lambda m: {"text": "black"} if "Instead" in m.outputs[-1]["error"] else {},
        "Black ones, then.",
    )
    agent = FunctionAgent(tools=tools, llm=model.llm, streaming=False)
    assert converse(agent, "like /etc/passwd") == ["Black ones, then."]
    assert titles(model.outputs[-1])[0] == "black"


def test_several_searches_at_once(tools):
    def twice(messages, **kwargs):
        if messages[-1].role == "tool":
            return ChatMessage(role="assistant", content="Both.")
        calls = [
            ToolCallBlock(tool_call_id=text, tool_name="search_images", tool_kwargs={"text": text})
            for text in ("red", "green")
        ]
        return ChatMessage(role="assistant", blocks=calls)

    llm = MockFunctionCallingLLM(response_generator=twice, is_chat_model=True)
    agent = FunctionAgent(tools=tools, llm=llm, streaming=False)

    async def run():
        return await agent.run("red and green")

    results = asyncio.run(run()).tool_calls
    answers = [json.loads(result.tool_output.blocks[0].text) for result in results]
    assert {titles(answer)[0] for answer in answers} == {"red", "green"}


def test_a_workflow_of_agents_shares_the_image(tools, images):
    model = Scripted(lambda _: {"image": "last", "top_n": 1}, "green.")
    agent = FunctionAgent(name="finder", tools=tools, llm=model.llm, streaming=False)
    shown = ChatMessage(role="user", blocks=[TextBlock(text="this?"), ImageBlock(path=images / "green.png")])

    async def run():
        return await AgentWorkflow(agents=[agent], root_agent="finder").run(user_msg=shown)

    assert str(asyncio.run(run())) == "green."
    assert titles(model.outputs[0]) == ["green"]


def test_a_react_agent_reads_the_json_and_names_result_1(tools, images):
    def act(**asked) -> str:
        return f"Thought: I search.\nAction: search_images\nAction Input: {json.dumps(asked)}"

    def read(model: Scripted) -> list[dict]:
        last = model.seen[-1][-1].content
        return json.loads(last[last.index("{") :])["results"]

    model = Scripted(
        act(image="last", top_n=1),
        "Thought: I know.\nAnswer: it is blue.",
        act(text="blue", top_n=1),
        lambda model: act(text="in red", image=read(model)[0]["id"], top_n=5),
        lambda model: f"Thought: done.\nAnswer: {', '.join(r['title'] for r in read(model))}",
    )
    agent = ReActAgent(tools=tools, llm=model.llm, streaming=False)
    shown = ChatMessage(role="user", blocks=[TextBlock(text="this?"), ImageBlock(path=images / "blue.png")])
    first, second = converse(agent, shown, "now the same in red")
    assert first == "it is blue."
    assert {"blue", "red"} <= set(second.split(", "))
    assert "'last'" in model.seen[0][0].content
