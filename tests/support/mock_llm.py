"""A LlamaIndex LLM with scripted answers, and the ids of retrieved nodes."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockFunctionCallingLLM

REVERSED = '{"ranking": [9, 8, 7, 6, 5, 4, 3, 2, 1], "reason": "the last"}'


def ids(nodes):
    return [result.node.node_id for result in nodes]


def chatting(*answers, asked=None):
    """A LlamaIndex LLM that returns the answers in turn, repeating the last; `asked` collects the messages."""
    remaining = list(answers)

    def answer(messages, **_):
        if asked is not None:
            asked.append(messages)
        text = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if isinstance(text, Exception):
            raise text
        return ChatMessage(text, role="assistant")

    return MockFunctionCallingLLM(response_generator=answer)
