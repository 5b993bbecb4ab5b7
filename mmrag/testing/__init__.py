"""Doubles for testing an app built on mmrag: no weights, no network.

`toy_encoder` stands in for the encoder, `MockVision` for the vision LLM. Wherever mmrag is
installed, pytest also knows two fixtures: ``drawn_catalog``, a folder of seventy-two drawn
products and what is true of each, and ``milvus_lite``, a place for a Milvus Lite of the test's own:

    def test_my_app(drawn_catalog, milvus_lite):
        embed_model = VisualizedBGEEmbedding(encoder=toy_encoder())
        with ComposedImageIndex.open(milvus_lite, embed_model) as index:
            index.add_folder(drawn_catalog.folder, metadata=drawn_catalog.metadata)
            rerank = LLVMRerank(llm=MockVision(reversing()))
            engine = index.as_query_engine(node_postprocessors=[rerank])
            assert len(engine.query("a red mug").source_nodes) == 2
"""

from __future__ import annotations

from mmrag.testing.encoder import ToyEncoder, toy_encoder
from mmrag.testing.vision import (
    MALFORMED,
    Asked,
    MockVision,
    completion,
    failing,
    looking,
    malformed,
    oracle,
    reversing,
    scripted,
    slow,
)

__all__ = [
    "MALFORMED",
    "Asked",
    "MockVision",
    "ToyEncoder",
    "completion",
    "failing",
    "looking",
    "malformed",
    "oracle",
    "reversing",
    "scripted",
    "slow",
    "toy_encoder",
]
