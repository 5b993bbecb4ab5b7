"""Phi3VisionLLM: chat, streaming and completion over the real network at tiny size."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from llama_index.core.base.llms.types import AudioBlock, ChatMessage, ImageBlock, TextBlock
from llama_index.core.llms import LLM
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle
from llama_index.llms.phi3_vision import Phi3VisionLLM
from llama_index.llms.phi3_vision.base import _convert_messages
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from PIL import Image
from pydantic import BaseModel

from mmrag.errors import ImageError, QueryError
from mmrag.images import ImagePolicy
from mmrag.vision import Phi3Vision

TINY = Path(__file__).parents[2] / "golden" / "phi3_vision" / "tiny"


@pytest.fixture(scope="module")
def llm():
    return Phi3VisionLLM(str(TINY), max_new_tokens=6)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "leopard.png"
    Image.new("RGB", (40, 30), "orange").save(path)
    return path


@pytest.fixture
def messages(photo):
    return [ChatMessage(role="user", blocks=[ImageBlock(path=photo), TextBlock(text="What?")])]


def texts(responses):
    return [(r.message.content, r.delta) for r in responses]


async def collected(stream):
    return [response async for response in await stream]


def test_chat_returns_the_answer_of_the_model(llm, messages, photo):
    answer = llm.chat(messages).message
    own = llm.vision.chat([{"role": "user", "content": "What?"}], [Image.open(photo)], max_new_tokens=6)
    assert (answer.role.value, answer.content) == ("assistant", own)
    assert own != ""


def test_another_image_gets_another_answer(llm):
    answers = {
        llm.chat([ChatMessage(role="user", blocks=[ImageBlock(image=_png(color))])]).message.content
        for color in ("orange", "navy", "white")
    }
    assert len(answers) > 1


def test_chat_stream_and_async_give_the_same_answer(llm, messages):
    whole = llm.chat(messages).message.content
    streamed = texts(llm.stream_chat(messages))
    assert streamed[-1][0] == whole
    assert "".join(delta for _, delta in streamed) == whole
    assert asyncio.run(llm.achat(messages)).message.content == whole
    assert texts(asyncio.run(collected(llm.astream_chat(messages)))) == streamed


def test_complete_stream_and_async_give_the_same_text(llm):
    whole = llm.complete("Hello").text
    assert whole == llm.chat([ChatMessage("Hello")]).message.content
    streamed = [(r.text, r.delta) for r in llm.stream_complete("Hello")]
    assert streamed[-1][0] == whole == asyncio.run(llm.acomplete("Hello")).text
    astreamed = asyncio.run(collected(llm.astream_complete("Hello")))
    assert [(r.text, r.delta) for r in astreamed] == streamed


def test_max_new_tokens_limits_an_answer(llm):
    short = llm.complete("Hello", max_new_tokens=1).text
    assert llm.complete("Hello").text.startswith(short)
    assert len(short) < len(llm.complete("Hello").text)


def test_image_blocks_keep_their_positions(photo):
    turns, images = _convert_messages(
        [
            ChatMessage("Be short.", role="system"),
            ChatMessage(role="user", blocks=[TextBlock(text="this"), ImageBlock(path=photo), TextBlock(text="or")]),
            ChatMessage("Which?", role="assistant"),
            ChatMessage(role="tool", blocks=[ImageBlock(image=_png("navy"))]),
        ],
        ImagePolicy(),
    )
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user"]
    before, after = ({"type": "text", "text": text} for text in ("this", "or"))
    assert turns[1]["content"] == [before, {"type": "image"}, after]
    assert [image.size for image in images] == [(40, 30), (8, 8)]


def test_an_audio_block_is_refused(llm):
    with pytest.raises(QueryError, match="not AudioBlock"):
        llm.chat([ChatMessage(role="user", blocks=[AudioBlock(audio=b"sound")])])


def test_the_image_policy_limits_which_images_are_opened(messages, tmp_path):
    llm = Phi3VisionLLM(str(TINY), image_policy=ImagePolicy(roots=(tmp_path / "elsewhere",)))
    with pytest.raises(ImageError, match="outside of the allowed folders"):
        llm.chat(messages)


class Phone(BaseModel):
    """What is on the phone case."""

    pattern: str


class ScriptedVision(Phi3Vision):
    """The real class with a scripted answer."""

    def __init__(self, answer: str) -> None:
        self.name, self.answer, self.calls = "scripted", answer, []
        self.network = SimpleNamespace(config=SimpleNamespace(context_length=4096))

    def stream(self, messages, images=(), *, max_new_tokens=256):
        self.calls.append((messages, images))
        yield from self.answer


def test_structured_predict_sees_the_image_and_returns_the_model(photo):
    vision = ScriptedVision('```json\n{"pattern": "leopard"}\n```')
    prompt = ChatPromptTemplate([ChatMessage(role="user", blocks=[TextBlock(text="{ask}"), ImageBlock(path=photo)])])
    llm = Phi3VisionLLM(vision=vision)
    assert llm.structured_predict(Phone, prompt, ask="Which?") == Phone(pattern="leopard")
    assert asyncio.run(llm.astructured_predict(Phone, prompt, ask="Which?")).pattern == "leopard"
    for messages, images in vision.calls:
        assert "pattern" in str(messages)
        assert [image.size for image in images] == [(40, 30)]


def test_an_async_stream_does_not_block_the_event_loop():
    released = threading.Event()

    class Waiting(ScriptedVision):
        def stream(self, messages, images=(), *, max_new_tokens=256):
            yield "a"
            assert released.wait(20)  # the loop can only release it while it is not blocked
            yield "b"

    async def listen():
        deltas = []
        async for response in await Phi3VisionLLM(vision=Waiting("")).astream_chat([ChatMessage("x")]):
            deltas.append(response.delta)
            released.set()
        return deltas

    assert asyncio.run(listen()) == ["a", "b"]


def test_the_model_is_loaded_on_first_use():
    llm = Phi3VisionLLM("no/such-model")
    assert llm.metadata.model_name == "no/such-model"
    assert llm.metadata.is_chat_model and not llm.metadata.is_function_calling_model
    assert (llm.metadata.context_window, llm.metadata.num_output) == (131_072, 256)
    LLVMRerank(llm=llm)


def test_it_serializes_and_pickles_as_a_llama_index_llm(llm, messages):
    assert LLM.__name__ in [base.__name__ for base in Phi3VisionLLM.__mro__]
    assert llm.to_dict()["class_name"] == Phi3VisionLLM.class_name() == "Phi3VisionLLM"
    answer = llm.chat(messages).message.content
    assert pickle.loads(pickle.dumps(llm)).chat(messages).message.content == answer
    assert llm.chat(messages).message.content == answer  # the original keeps its model


def test_a_deep_copy_shares_the_weights(llm):
    copied = copy.deepcopy(llm)
    assert copied.vision is llm.vision
    copied.max_new_tokens = 3
    assert llm.max_new_tokens != 3


def test_it_reranks_every_node(llm, photo, tmp_path):
    nodes = []
    for k, color in enumerate(["red", "navy", "white"]):
        Image.new("RGB", (20, 20), color).save(tmp_path / f"{k}.png")
        node = ImageNode(id_=str(k), image_path=str(tmp_path / f"{k}.png"))
        nodes.append(NodeWithScore(node=node, score=0.5))
    rerank = LLVMRerank(llm=llm, caption=False, on_failure="raise")
    found = rerank.postprocess_nodes(nodes, QueryBundle("a bag", image_path=str(photo)))
    assert sorted(n.node.node_id for n in found) == ["0", "1", "2"]
    facts = found[0].node.metadata["llvm_rerank"]
    assert (facts["repaired"], facts["rank"]) == (False, 1)
    assert 0 <= facts["score"] <= 1


def _png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "PNG")
    return buffer.getvalue()
