"""LLVMRerank in a LlamaIndex app: nodes, events, callbacks, prompts, sync and async."""

from __future__ import annotations

import asyncio
import base64
import copy
import pickle
import threading

import pytest
from llama_index.core import Document
from llama_index.core.base.llms.types import ChatMessage, ImageBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import (
    ImageDocument,
    ImageNode,
    MediaResource,
    MetadataMode,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from PIL import Image

from mmrag.errors import AnswerError, ImageError, QueryError, SettingError
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MockVision, failing, looking, oracle, reversing, scripted
from mmrag.vision.protocol import VisionLLM

REVERSED = '{"ranking": [9, 8, 7, 6, 5, 4, 3, 2, 1], "reason": "the last"}'


@pytest.fixture
def pictures(tmp_path):
    """Nine pictures, each brighter than the one before, and a query's."""
    for k in range(1, 10):
        Image.new("RGB", (16, 16), (25 * k,) * 3).save(tmp_path / f"{k}.png")
    Image.new("RGB", (16, 16), "orange").save(tmp_path / "leopard.png")
    return tmp_path


@pytest.fixture
def nodes(pictures):
    return [
        NodeWithScore(
            node=ImageNode(id_=str(k), image_path=str(pictures / f"{k}.png")), score=1 / k
        )
        for k in range(1, 10)
    ]


@pytest.fixture
def bundle(pictures):
    return QueryBundle("a bag with this", image_path=str(pictures / "leopard.png"))


def ids(nodes):
    return [found.node.node_id for found in nodes]


def chatting(*answers, asked=None):
    """A LlamaIndex LLM that says the answers one after the other, the last one for ever."""
    left = list(answers)

    def answer(messages, **_):
        if asked is not None:
            asked.append(messages)
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            raise said
        return ChatMessage(said, role="assistant")

    return MockFunctionCallingLLM(response_generator=answer)


def brightness(picture):
    return picture.convert("L").getpixel((60, 60))


# --- the order ---


@pytest.mark.parametrize(
    "llm",
    [
        MockVision(reversing()),
        ListwiseReranker(MockVision(reversing())),
        chatting("a leopard", REVERSED),
    ],
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


def test_nodes_are_copied_and_the_callers_stay_as_they_were(nodes, bundle):
    before = [found.model_dump() for found in nodes]
    LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    assert [found.model_dump() for found in nodes] == before


def test_each_node_tells_its_places_scores_and_the_reason(nodes, bundle):
    llm = MockVision(oracle(float))
    first, second, *_ = LLVMRerank(llm=llm).postprocess_nodes(nodes, bundle)
    told = first.node.metadata
    assert (told["retrieval_rank"], told["retrieval_score"]) == (9, 1 / 9)
    facts = told["llvm_rerank"]
    assert (facts["rank"], facts["score"], facts["reason"]) == (1, 9.0, "I know.")
    assert (facts["repaired"], facts["missing"]) == (False, "")
    assert facts["milliseconds"]["total"] > 0
    assert second.node.metadata["llvm_rerank"]["reason"] == ""
    assert (first.score, second.score) == (9.0, 8.0)


def test_where_the_model_scores_nothing_the_retrievers_score_stays(nodes, bundle):
    first, *_ = LLVMRerank(llm=MockVision(scripted(REVERSED))).postprocess_nodes(nodes, bundle)
    assert (first.node.node_id, first.score) == ("9", 1 / 9)
    assert first.node.metadata["llvm_rerank"]["score"] is None


def test_what_is_told_to_programs_is_not_told_to_the_next_llm(nodes, bundle):
    first, *_ = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    for mode in (MetadataMode.LLM, MetadataMode.EMBED):
        assert "rerank" not in first.node.get_metadata_str(mode)


def test_after_two_rerankers_a_node_still_knows_what_the_retriever_gave(nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(oracle(float)))
    first, *_ = rerank.postprocess_nodes(rerank.postprocess_nodes(nodes, bundle), bundle)
    told = first.node.metadata
    assert (first.node.node_id, told["retrieval_rank"], told["retrieval_score"]) == ("1", 1, 1.0)
    excluded = first.node.excluded_llm_metadata_keys
    assert len(excluded) == len(set(excluded))


def test_nodes_keep_their_class(nodes, bundle):
    reranked = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    assert {type(found.node) for found in reranked} == {ImageNode}


# --- the query ---


def test_the_query_picture_reaches_the_llm(nodes, bundle):
    asked = []
    LLVMRerank(llm=chatting(REVERSED, asked=asked)).postprocess_nodes(nodes, bundle)
    blocks = [block for block in asked[0][0].blocks if isinstance(block, ImageBlock)]
    composite = Image.open(blocks[0].resolve_image())
    assert composite.size == (1344, 1008)
    red, green, blue = composite.getpixel((168, 250))
    assert red > 240 and 150 < green < 180 and blue < 20  # orange, as in the query's cell


def test_a_markdown_picture_in_the_string_is_the_query_picture(nodes, pictures):
    llm = MockVision(reversing())
    query = f"a bag with this ![]({pictures / 'leopard.png'})"
    LLVMRerank(llm=llm).postprocess_nodes(nodes, query_str=query)
    assert llm.asked[0].image.getpixel((48, 60)) == (255, 165, 0)
    assert "<wish>a bag with this</wish>" in llm.asked[0].prompt


def test_words_alone_are_a_query(nodes):
    llm = MockVision(reversing())
    assert len(LLVMRerank(llm=llm).postprocess_nodes(nodes, query_str="a bag")) == 9
    assert llm.chats == []


@pytest.mark.parametrize("query", [None, QueryBundle(""), QueryBundle("![](a.jpg) ![](b.jpg)")])
def test_a_query_that_asks_nothing_is_told(nodes, query):
    with pytest.raises(QueryError):
        LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, query)


def test_a_query_picture_that_cannot_be_read_is_told(nodes):
    with pytest.raises(ImageError, match=r"gone\.png"):
        LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(
            nodes, QueryBundle("a bag", image_path="gone.png")
        )


# --- the nodes ---


def test_text_and_picture_nodes_mix(nodes, bundle):
    mixed = [nodes[0], NodeWithScore(node=TextNode(id_="text", text="a red bag")), nodes[1]]
    llm = MockVision(reversing())
    assert ids(LLVMRerank(llm=llm).postprocess_nodes(mixed, bundle)) == ["2", "text", "1"]
    shown = llm.asked[0].image.crop((192, 0, 288, 96))
    assert len(shown.getcolors(10_000)) > 20  # words and plate, not a blank cell


def test_a_node_whose_picture_is_gone_is_kept_and_marked(nodes, bundle, pictures):
    (pictures / "4.png").unlink()
    reranked = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"987654321"]
    missing = {n.node.node_id: n.node.metadata["llvm_rerank"]["missing"] for n in reranked}
    assert "4.png" in missing.pop("4")
    assert set(missing.values()) == {""}


def test_an_empty_node_is_kept_and_marked(nodes, bundle):
    reranked = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(
        [*nodes[:2], NodeWithScore(node=TextNode(id_="empty"))], bundle
    )
    assert ids(reranked) == ["empty", "2", "1"]
    assert reranked[0].node.metadata["llvm_rerank"]["missing"] == "it has no picture"


@pytest.mark.parametrize("kind", ["base64", "document", "resource", "resource data"])
def test_a_picture_is_found_wherever_a_node_keeps_it(kind, pictures, bundle):
    path = pictures / "9.png"
    data = base64.b64encode(path.read_bytes())
    node = {
        "base64": lambda: ImageNode(image=data.decode()),
        "document": lambda: ImageDocument(image_path=str(path)),
        "resource": lambda: Document(image_resource=MediaResource(path=path)),
        "resource data": lambda: Document(image_resource=MediaResource(data=path.read_bytes())),
    }[kind]()
    llm = MockVision(reversing())
    (only,) = LLVMRerank(llm=llm).postprocess_nodes([NodeWithScore(node=node)], bundle)
    assert only.node.metadata["llvm_rerank"]["missing"] == ""
    assert llm.asked[0].image.getpixel((96 + 60, 60)) == (225, 225, 225)


def test_a_url_is_not_opened_unless_its_host_is_named(bundle):
    node = NodeWithScore(node=ImageNode(image_url="http://127.0.0.1:9/a.png"))
    (kept,) = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes([node], bundle)
    assert "127.0.0.1" in kept.node.metadata["llvm_rerank"]["missing"]


def test_a_resource_of_bytes_that_are_no_base64_is_kept_and_marked(nodes, bundle):
    document = Document(image_resource=MediaResource(data=b"R0lGOD=="))
    document.image_resource.data = bytes([255, 216, 255])  # an assignment is not validated
    broken = NodeWithScore(node=document)
    rerank = LLVMRerank(llm=MockVision(reversing()))
    first, *_ = rerank.postprocess_nodes([*nodes[:2], broken], bundle)
    assert "base64" in first.node.metadata["llvm_rerank"]["missing"]


# --- failures ---


def test_when_the_llm_fails_the_nodes_keep_their_order_marked_so(nodes, bundle):
    llm = chatting(RuntimeError("SECRET"))
    reranked = LLVMRerank(llm=llm).postprocess_nodes(nodes, bundle)
    assert ids(reranked) == [*"123456789"]
    facts = reranked[0].node.metadata["llvm_rerank"]
    assert facts["repaired"] is True
    assert facts["repairs"] == ["order kept: the vision LLM failed with RuntimeError"]


def test_a_failure_is_raised_when_wished(nodes, bundle):
    rerank = LLVMRerank(llm=chatting(RuntimeError("SECRET")), on_failure="raise")
    with pytest.raises(AnswerError, match="failed with RuntimeError"):
        rerank.postprocess_nodes(nodes, bundle)


def test_impossible_settings_are_refused_at_once():
    with pytest.raises(SettingError, match="window=99"):
        LLVMRerank(llm=MockVision(reversing()), window=99)
    with pytest.raises(ValueError, match="greater than 0"):
        LLVMRerank(llm=MockVision(reversing()), top_n=0)


@pytest.mark.parametrize("change", ["set", "copied"])
def test_a_setting_changed_later_counts(change, nodes, bundle):
    llm = MockVision(reversing())
    rerank = LLVMRerank(llm=llm)
    if change == "set":
        rerank.window = 4
    else:
        rerank = rerank.model_copy(update={"window": 4})
    rerank.postprocess_nodes(nodes, bundle)
    assert {asked.n for asked in llm.asked} == {3, 4}


# --- events ---


class Ear(BaseEventHandler):
    heard: list = []  # noqa: RUF012  # pydantic copies it

    def handle(self, event, **_):
        if isinstance(event, ReRankStartEvent | ReRankEndEvent):
            self.heard.append(event)


class Callbacks(BaseCallbackHandler):
    def __init__(self):
        super().__init__([], [])
        self.heard = []

    def on_event_start(self, event_type, payload=None, event_id="", **_):
        self.heard.append((event_type, "start", payload))
        return event_id

    def on_event_end(self, event_type, payload=None, event_id="", **_):
        self.heard.append((event_type, "end", payload))

    def start_trace(self, trace_id=None):
        pass

    def end_trace(self, trace_id=None, trace_map=None):
        pass


@pytest.fixture
def ear():
    ear = Ear()
    handlers = get_dispatcher().event_handlers
    handlers.append(ear)
    yield ear
    handlers.remove(ear)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("way", ["ranked", "empty", "failed", "raised", "no query"])
def test_start_and_end_are_told_on_every_way_out(way, asynchronous, nodes, bundle, ear):
    callbacks = Callbacks()
    broken = MockVision(failing(TimeoutError()))
    rerank = LLVMRerank(
        llm=broken if way in ("failed", "raised") else MockVision(reversing()),
        on_failure="raise" if way == "raised" else "keep_order",
        callback_manager=CallbackManager([callbacks]),
        top_n=4,
    )
    given = [] if way == "empty" else nodes
    query = None if way == "no query" else bundle
    returned = []
    try:
        if asynchronous:
            returned = asyncio.run(rerank.apostprocess_nodes(given, query))
        else:
            returned = rerank.postprocess_nodes(given, query)
    except (TimeoutError, QueryError):
        assert way in ("raised", "no query")
    start, end = ear.heard
    assert isinstance(start, ReRankStartEvent) and isinstance(end, ReRankEndEvent)
    assert (start.query, start.top_n, start.model_name) == (query, 4, "MockVision")
    assert (ids(start.nodes), ids(end.nodes)) == (ids(given), ids(returned))
    told = [heard for heard in callbacks.heard if heard[0] == CBEventType.RERANKING]
    assert [moment for _, moment, _ in told] == ["start", "end"]
    assert told[0][2][EventPayload.TOP_K] == 4
    assert told[1][2][EventPayload.NODES] == returned


# --- async ---


def test_async_awaits_the_llms_own_achat_in_the_callers_loop(nodes, bundle):
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


def test_many_reranks_run_at_once_in_one_loop(nodes, bundle):
    together = threading.Barrier(4, timeout=20)

    def wait_for_the_others(asked):
        together.wait()
        return reversing()(asked)

    rerank = LLVMRerank(llm=MockVision(wait_for_the_others), on_failure="raise")

    async def four():
        return await asyncio.gather(*(rerank.apostprocess_nodes(nodes, bundle) for _ in range(4)))

    assert [ids(found) for found in asyncio.run(four())] == [[*"987654321"]] * 4


def test_it_works_in_a_second_event_loop(nodes, bundle):
    rerank = LLVMRerank(llm=chatting(REVERSED))
    for _ in range(2):
        assert ids(asyncio.run(rerank.apostprocess_nodes(nodes, bundle))) == [*"987654321"]


# --- prompts and the rest ---


def test_prompts_can_be_read_and_replaced(nodes, bundle):
    llm = MockVision(reversing())
    rerank = LLVMRerank(llm=llm)
    prompts = rerank._get_prompts()
    assert set(prompts) == {"rank_prompt", "caption_prompt"}
    assert "{wish}" in prompts["rank_prompt"].get_template()
    rerank._update_prompts({"rank_prompt": PromptTemplate("only {n} for {wish}")})
    rerank.postprocess_nodes(nodes, bundle)
    assert llm.asked[0].prompt == "only 9 for a bag with this"
    assert rerank._get_prompts()["caption_prompt"] == prompts["caption_prompt"]


def test_a_core_reranker_takes_other_wordings_too(nodes, bundle):
    llm = MockVision(reversing())
    rerank = LLVMRerank(llm=ListwiseReranker(llm, window=4), rank_prompt="{wish}!")
    rerank.postprocess_nodes(nodes, bundle)
    assert {(asked.prompt, asked.n) for asked in llm.asked} >= {("a bag with this!", 4)}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_replaced_prompt_goes_along_with_a_copy(copied):
    rerank = LLVMRerank(llm=MockVision(reversing()))
    rerank._update_prompts({"rank_prompt": PromptTemplate("only {wish}")})
    assert copied(rerank)._get_prompts()["rank_prompt"].get_template() == "only {wish}"


def test_a_deep_copy_shares_the_model():
    llm = MockVision(reversing())
    llm.lock = threading.Lock()  # as real ones have, and clients of servers
    rerank = copy.deepcopy(LLVMRerank(llm=llm, window=4))
    assert (rerank.window, rerank.reranker.llvm) == (4, llm)


def test_prompts_can_be_given(nodes, bundle):
    llm = MockVision(reversing(), caption="spots")
    LLVMRerank(llm=llm, rank_prompt="{caption}!", caption_prompt="What?").postprocess_nodes(
        nodes, bundle
    )
    assert (llm.asked[0].prompt, llm.chats) == ("spots!", ["What?"])


def test_it_is_a_llama_index_postprocessor():
    assert LLVMRerank.class_name() == "LLVMRerank"
    assert BaseNodePostprocessor.__name__ in [base.__name__ for base in LLVMRerank.__mro__]


def test_its_settings_serialise_and_its_llm_stays_out():
    settings = LLVMRerank(llm=MockVision(reversing()), top_n=3).to_dict()
    assert (settings["top_n"], settings["class_name"]) == (3, "LLVMRerank")
    assert "llm" not in settings


def test_it_travels_to_another_process_where_its_llm_does(nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(reversing()), top_n=2)
    arrived = pickle.loads(pickle.dumps(rerank))
    assert ids(arrived.postprocess_nodes(nodes, bundle)) == ["9", "8"]
    assert isinstance(rerank._llm, VisionLLM)  # the original keeps all it had
