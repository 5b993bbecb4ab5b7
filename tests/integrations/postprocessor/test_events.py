"""Events of LLVMRerank on every exit, failures, and async use in any event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from mock_llm import REVERSED, chatting, ids

from mmrag.errors import AnswerError, QueryError
from mmrag.testing import MockVision, failing, reversing


def test_a_failing_llm_keeps_the_order_and_marks_the_nodes_repaired(nodes, bundle):
    llm = chatting(RuntimeError("SECRET"))
    reranked = LLVMRerank(llm=llm).postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"123456789"]
    facts = reranked[0].node.metadata["llvm_rerank"]
    assert facts["judged"] is False
    assert facts["repaired"] is True
    assert facts["repairs"] == ["order kept: the vision LLM failed with RuntimeError"]


def test_on_failure_raise(nodes, bundle):
    rerank = LLVMRerank(llm=chatting(RuntimeError("SECRET")), on_failure="raise")
    with pytest.raises(AnswerError, match="failed with RuntimeError"):
        rerank.postprocess_nodes(nodes, bundle)


class RerankEvents(BaseEventHandler):
    events: list = []  # noqa: RUF012  # pydantic copies it

    def handle(self, event, **_):
        if isinstance(event, ReRankStartEvent | ReRankEndEvent):
            self.events.append(event)


class Callbacks(BaseCallbackHandler):
    def __init__(self):
        super().__init__([], [])
        self.events = []

    def on_event_start(self, event_type, payload=None, event_id="", **_):
        self.events.append((event_type, "start", payload))
        return event_id

    def on_event_end(self, event_type, payload=None, event_id="", **_):
        self.events.append((event_type, "end", payload))

    def start_trace(self, trace_id=None):
        pass

    def end_trace(self, trace_id=None, trace_map=None):
        pass


@pytest.fixture
def events():
    events = RerankEvents()
    handlers = get_dispatcher().event_handlers
    handlers.append(events)
    yield events
    handlers.remove(events)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("outcome", ["ranked", "empty", "failed", "raised", "no query"])
def test_start_and_end_events_on_every_exit(outcome, asynchronous, nodes, bundle, events):
    callbacks = Callbacks()
    broken = MockVision(failing(TimeoutError()))
    rerank = LLVMRerank(
        llm=broken if outcome in ("failed", "raised") else MockVision(reversing()),
        on_failure="raise" if outcome == "raised" else "keep_order",
        callback_manager=CallbackManager([callbacks]),
        top_n=4,
    )
    given = [] if outcome == "empty" else nodes
    query = None if outcome == "no query" else bundle
    returned = []
    try:
        if asynchronous:
            returned = asyncio.run(rerank.apostprocess_nodes(given, query))
        else:
            returned = rerank.postprocess_nodes(given, query)
    except (TimeoutError, QueryError):
        assert outcome in ("raised", "no query")
    start, end = events.events
    assert isinstance(start, ReRankStartEvent) and isinstance(end, ReRankEndEvent)
    assert (start.query, start.top_n, start.model_name) == (query, 4, "MockVision")
    assert (ids(start.nodes), ids(end.nodes)) == (ids(given), ids(returned))
    reranking = [event for event in callbacks.events if event[0] == CBEventType.RERANKING]
    assert [phase for _, phase, _ in reranking] == ["start", "end"]
    assert reranking[0][2][EventPayload.TOP_K] == 4
    assert reranking[1][2][EventPayload.NODES] == returned


def test_async_awaits_achat_in_the_callers_loop(nodes, bundle):
    loops = []

    class Awaited(MockFunctionCallingLLM):
        async def achat(self, messages, **kwargs):
            loops.append(asyncio.get_running_loop())
            return self.chat(messages, **kwargs)

    llm = Awaited(response_generator=lambda messages, **_: ChatMessage(REVERSED))

    async def rerank():
        reranked = await LLVMRerank(llm=llm).apostprocess_nodes(nodes, bundle)
        return reranked, asyncio.get_running_loop()

    reranked, loop = asyncio.run(rerank())
    assert ids(reranked) == [*"987654321"]
    assert loops and all(used is loop for used in loops)


def test_concurrent_reranks_in_one_loop(nodes, bundle):
    together = threading.Barrier(4, timeout=20)

    def wait_for_the_others(asked):
        together.wait()
        return reversing()(asked)

    rerank = LLVMRerank(llm=MockVision(wait_for_the_others), on_failure="raise")

    async def four():
        return await asyncio.gather(*(rerank.apostprocess_nodes(nodes, bundle) for _ in range(4)))

    assert [ids(found) for found in asyncio.run(four())] == [[*"987654321"]] * 4


def test_an_achat_that_needs_a_thread_gets_one_however_many_reranks_wait(nodes, bundle):
    class InAThread(MockFunctionCallingLLM):
        async def achat(self, messages, **kwargs):
            return await asyncio.to_thread(self.chat, messages, **kwargs)

    llm = InAThread(response_generator=lambda messages, **_: ChatMessage(REVERSED))
    rerank = LLVMRerank(llm=llm)

    async def four():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        reranks = (rerank.apostprocess_nodes(nodes, bundle) for _ in range(4))
        return await asyncio.wait_for(asyncio.gather(*reranks), 30)

    assert [ids(found) for found in asyncio.run(four())] == [[*"987654321"]] * 4


def test_a_second_event_loop_works(nodes, bundle):
    rerank = LLVMRerank(llm=chatting(REVERSED))
    for _ in range(2):
        assert ids(asyncio.run(rerank.apostprocess_nodes(nodes, bundle))) == [*"987654321"]
