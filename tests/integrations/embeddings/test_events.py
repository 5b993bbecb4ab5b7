"""Embedding events in both of LlamaIndex's event systems."""

from __future__ import annotations

import asyncio
import base64

import pytest
from llama_index.core.bridge.pydantic import Field
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from PIL import Image

from mmrag.query import Query
from mmrag.testing import toy_encoder

RED = Image.new("RGB", (8, 8), "red")


class Events(BaseEventHandler):
    """Records embedding events."""

    seen: list = Field(default_factory=list)

    def handle(self, event, **kwargs):
        if event.class_name().startswith("Embedding"):
            self.seen.append(event)


@pytest.fixture
def events():
    root, handler = get_dispatcher(), Events(seen=[])
    root.add_event_handler(handler)
    yield handler.seen
    root.event_handlers.remove(handler)


def test_images_and_composed_queries_emit_start_and_end_events(embedding, events):
    embedding.get_composed_embedding("in blue", RED)
    start, end = events
    assert start.model_dict == embedding.to_payload()
    assert end.chunks == ["in blue [PIL image (RGB, 8×8)]"]
    assert end.embeddings == toy_encoder().encode([Query("in blue", RED)]).tolist()
    events.clear()
    asyncio.run(embedding.aget_image_embedding_batch([RED, RED]))
    assert [event.class_name() for event in events] == ["EmbeddingStartEvent", "EmbeddingEndEvent"]


def test_events_hold_no_image_bytes(embedding, events):
    buffer = pytest.importorskip("io").BytesIO()
    RED.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    embedding.get_image_embedding(f"data:image/png;base64,{data}")
    assert data not in events[-1].chunks[0]


def test_the_callback_manager_gets_the_events_too():
    handler = LlamaDebugHandler(print_trace_on_end=False)
    model = VisualizedBGEEmbedding(encoder=toy_encoder(), callback_manager=CallbackManager([handler]))
    model.get_image_embedding(RED)
    assert len(handler.get_event_pairs("embedding")) == 1
