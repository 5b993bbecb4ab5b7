"""What tests of LLVMRerank share: an LLM that says what it is told, and how nodes are named."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM

REVERSED = '{"ranking": [9, 8, 7, 6, 5, 4, 3, 2, 1], "reason": "the last"}'


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
