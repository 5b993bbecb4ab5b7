"""Nodes of LLVMRerank: every class, copied, none lost, with ranks, scores and reasons in their metadata."""

from __future__ import annotations

import base64

import pytest
from llama_index.core import Document
from llama_index.core.schema import ImageDocument, ImageNode, MediaResource, MetadataMode, NodeWithScore, TextNode
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from mock_llm import REVERSED, ids

from mmrag.testing import MockVision, oracle, reversing, scripted


def test_text_and_image_nodes_mix(nodes, bundle):
    mixed = [nodes[0], NodeWithScore(node=TextNode(id_="text", text="a red bag")), nodes[1]]
    llm = MockVision(reversing())
    assert ids(LLVMRerank(llm=llm).postprocess_nodes(mixed, bundle)) == ["2", "text", "1"]
    cell = llm.requests[0].image.crop((192, 0, 288, 96))
    assert len(cell.getcolors(10_000)) > 20  # text and badge, not a blank cell


def test_a_node_with_a_missing_image_is_kept_and_marked(nodes, bundle, gray_folder):
    (gray_folder / "4.png").unlink()
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
    assert reranked[0].node.metadata["llvm_rerank"]["missing"] == "it has no image"


@pytest.mark.parametrize("kind", ["base64", "document", "resource", "resource data"])
def test_an_image_is_found_wherever_a_node_stores_it(kind, gray_folder, bundle):
    path = gray_folder / "9.png"
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
    assert llm.requests[0].image.getpixel((96 + 60, 60)) == (225, 225, 225)


def test_a_url_is_not_opened_unless_its_host_is_allowed(bundle):
    node = NodeWithScore(node=ImageNode(image_url="http://127.0.0.1:9/a.png"))
    (kept,) = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes([node], bundle)
    assert "127.0.0.1" in kept.node.metadata["llvm_rerank"]["missing"]


def test_a_node_with_invalid_base64_is_kept_and_marked(nodes, bundle):
    document = Document(image_resource=MediaResource(data=b"R0lGOD=="))
    document.image_resource.data = bytes([255, 216, 255])  # an assignment is not validated
    broken = NodeWithScore(node=document)
    rerank = LLVMRerank(llm=MockVision(reversing()))
    first, *_ = rerank.postprocess_nodes([*nodes[:2], broken], bundle)
    assert "base64" in first.node.metadata["llvm_rerank"]["missing"]


def test_the_callers_nodes_stay_unchanged(nodes, bundle):
    before = [found.model_dump() for found in nodes]
    LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    assert [found.model_dump() for found in nodes] == before


def test_metadata_holds_ranks_scores_reason_and_timings_ms(nodes, bundle):
    llm = MockVision(oracle(float))
    first, second, *_ = LLVMRerank(llm=llm).postprocess_nodes(nodes, bundle)
    metadata = first.node.metadata
    assert (metadata["retrieval_rank"], metadata["retrieval_score"]) == (9, 1 / 9)
    facts = metadata["llvm_rerank"]
    assert facts["judged"] is True
    assert (facts["rank"], facts["score"], facts["reason"]) == (1, 9.0, "I know.")
    assert (facts["repaired"], facts["missing"]) == (False, "")
    assert facts["timings_ms"]["total"] > 0
    assert second.node.metadata["llvm_rerank"]["reason"] == ""
    assert (first.score, second.score) == (9.0, 8.0)


def test_without_model_scores_the_retrieval_score_stays(nodes, bundle):
    first, *_ = LLVMRerank(llm=MockVision(scripted(REVERSED))).postprocess_nodes(nodes, bundle)
    assert (first.node.node_id, first.score) == ("9", 1 / 9)
    assert first.node.metadata["llvm_rerank"]["score"] is None


def test_rerank_metadata_is_excluded_from_llm_and_embedding_text(nodes, bundle):
    first, *_ = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    for mode in (MetadataMode.LLM, MetadataMode.EMBED):
        assert "rerank" not in first.node.get_metadata_str(mode)


def test_retrieval_rank_and_score_survive_a_second_reranker(nodes, bundle):
    rerank = LLVMRerank(llm=MockVision(oracle(float)))
    first, *_ = rerank.postprocess_nodes(rerank.postprocess_nodes(nodes, bundle), bundle)
    metadata = first.node.metadata
    assert (first.node.node_id, metadata["retrieval_rank"], metadata["retrieval_score"]) == ("1", 1, 1.0)
    excluded = first.node.excluded_llm_metadata_keys
    assert len(excluded) == len(set(excluded))


def test_nodes_keep_their_class(nodes, bundle):
    reranked = LLVMRerank(llm=MockVision(reversing())).postprocess_nodes(nodes, bundle)
    assert {type(found.node) for found in reranked} == {ImageNode}
