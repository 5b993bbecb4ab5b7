"""The public names, by the path that users import them from."""

from __future__ import annotations

import importlib

import pytest

PUBLIC_NAMES = {
    "mmrag": [
        "ListwiseReranker",
        "MMRagError",
        "Phi3Vision",
        "PointwiseReranker",
        "Query",
        "RankedImages",
        "Ranking",
        "VisualizedBGE",
        "load_encoder",
        "load_image",
        "load_reranker",
    ],
    "mmrag.datasets": ["draw_swatch", "queries", "write_catalog"],
    "mmrag.testing": ["MALFORMED", "MockVision", "completion", "malformed", "reversing", "toy_encoder"],
    "llama_index.embeddings.composed_image": ["ComposedImageEmbedding"],
    "llama_index.embeddings.visualized_bge": ["VisualizedBGEEmbedding"],
    "llama_index.llms.phi3_vision": ["Phi3VisionLLM"],
    "llama_index.postprocessor.llvm_rerank": ["LLVMRerank"],
    "llama_index.indices.composed_image": ["ComposedImageIndex", "milvus_store"],
    "llama_index.tools.image_search": ["ImageSearchToolSpec"],
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PUBLIC_NAMES.items() for name in names]
)
def test_a_public_name_can_be_imported(module, name):
    assert hasattr(importlib.import_module(module), name)
