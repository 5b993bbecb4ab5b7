"""The index: text, image or both find the right image through stock engines, sync and async."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path

import pytest
from llama_index.core.bridge.pydantic import Field
from llama_index.core.indices.vector_store import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import ImageDocument, ImageNode, QueryBundle, TextNode
from llama_index.indices.composed_image import ComposedImageIndex, RankedImagesSynthesizer, metadata_filters
from llama_index.postprocessor.llvm_rerank import LLVMRerank

from mmrag.errors import QueryError, StoreError, StoreMismatchError
from mmrag.query import Query
from mmrag.results import RankedImages
from mmrag.testing import MockVision, reversing, toy_encoder


class Watching(BaseNodePostprocessor):
    """Keeps the bundles it is shown, and turns the order round."""

    seen: list = Field(default_factory=list)

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.seen.append(query_bundle)
        return nodes[::-1]

    def _get_prompts(self):
        return {"wish": PromptTemplate("rank for {wish}")}


def names(response) -> list[str]:
    return [Path(node.node.image_path).stem for node in response.source_nodes]


def best(images: Path, item) -> str:
    """What numpy finds, without any index."""
    files = sorted(images.glob("*.png"))
    wish, *store = toy_encoder().encode([item, *files])
    return max(zip(store, files, strict=True), key=lambda pair: float(pair[0] @ wish))[1].stem


def test_it_is_a_vector_store_index(index):
    assert isinstance(index, VectorStoreIndex)
    assert index.vector_store.count() == 10


def test_text_image_and_composed_queries_rank_like_the_encoder(index, images):
    engine = index.as_query_engine(similarity_top_k=3)
    swatch = str(images / "blue corner.png")
    assert names(engine.query("something green"))[0] == best(images, "something green")
    assert names(engine.query(QueryBundle("", image_path=swatch)))[0] == "blue corner"
    both = names(engine.query(QueryBundle("in red", image_path=swatch)))
    assert both[0] == best(images, Query("in red", swatch))


def test_a_markdown_image_equals_an_image_of_the_bundle(index, images):
    engine = index.as_query_engine(similarity_top_k=4)
    swatch = str(images / "blue corner.png")
    beside = engine.query(QueryBundle("in red", image_path=swatch))
    assert names(engine.query(str(Query("in red", swatch)))) == names(beside)
    assert names(asyncio.run(engine.aquery(str(Query("in red", swatch))))) == names(beside)


@pytest.mark.parametrize("in_text", [True, False])
def test_postprocessors_see_the_image_sync_and_async(index, images, in_text):
    watching = Watching(seen=[])
    engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[watching])
    swatch = str(images / "blue.png")
    query = str(Query("in red", swatch)) if in_text else QueryBundle("in red", image_path=swatch)
    assert names(engine.query(query)) == names(asyncio.run(engine.aquery(query)))
    engine.retrieve(QueryBundle(query) if in_text else query)
    assert [(bundle.query_str, bundle.image_path) for bundle in watching.seen] == [("in red", swatch)] * 3


def test_a_stock_query_engine_composes_too(index, images):
    watching = Watching(seen=[])
    engine = RetrieverQueryEngine(
        retriever=index.as_retriever(similarity_top_k=3),
        response_synthesizer=RankedImagesSynthesizer(),
        node_postprocessors=[watching],
    )
    bundle = QueryBundle("in red", image_path=str(images / "blue.png"))
    ours = index.as_query_engine(similarity_top_k=3).query(bundle)
    assert names(engine.query(bundle)) == names(asyncio.run(engine.aquery(bundle)))
    assert names(engine.query(bundle)) == names(ours)[::-1]
    assert watching.seen[0].image_path == bundle.image_path


def test_the_query_bundle_is_not_modified(index, images):
    engine = index.as_query_engine()
    bundle = QueryBundle("in red", image_path=str(images / "blue.png"))
    before = copy.deepcopy(bundle)
    engine.query(bundle)
    asyncio.run(engine.aquery(bundle))
    index.as_retriever().retrieve(bundle)
    assert bundle == before


def test_an_embedding_in_the_query_bundle_is_used(index, embedding):
    vector = embedding.get_text_embedding("green")
    engine = index.as_query_engine(similarity_top_k=1)
    assert names(engine.query(QueryBundle("red", embedding=vector))) == names(engine.query("green"))


def test_escaped_markdown_is_text(index):
    watching = Watching(seen=[])
    engine = index.as_query_engine(node_postprocessors=[watching])
    engine.query(r"how to write \![](a.jpg)")
    assert (watching.seen[0].query_str, watching.seen[0].image_path) == (r"how to write \![](a.jpg)", None)


def test_escaped_markdown_is_not_opened_by_the_reranker(index):
    llm = MockVision(reversing())
    engine = index.as_query_engine(node_postprocessors=[LLVMRerank(llm=llm)])
    assert len(engine.query(r"how to write \![](gone.jpg)").source_nodes) == 2
    assert "how to write ![](gone.jpg)" in llm.requests[0].prompt


def test_an_engine_over_another_retriever_is_still_one_of_ours(index, images):
    watching = Watching(seen=[])
    engine = index.as_query_engine(node_postprocessors=[watching])
    wider = engine.with_retriever(index.as_retriever(similarity_top_k=5))
    swatch = str(images / "blue.png")
    assert len(wider.query(f"in red ![]({swatch})").source_nodes) == 5
    assert watching.seen[0].image_path == swatch


@pytest.mark.parametrize("query", ["", "  ", QueryBundle(""), "![](a.png) ![](b.png)"])
def test_an_empty_query_or_one_with_two_images_is_refused(index, query):
    with pytest.raises(QueryError):
        index.as_query_engine().query(query)
    with pytest.raises(QueryError):
        asyncio.run(index.as_query_engine().aquery(query))


def test_mmr_mode_diversifies_the_results(index, images):
    wish = QueryBundle("", image_path=str(images / "blue.png"))
    retriever = index.as_retriever(
        similarity_top_k=2, vector_store_query_mode="mmr", vector_store_kwargs={"mmr_threshold": 0.3}
    )
    found = [Path(node.node.image_path).stem for node in retriever.retrieve(wish)]
    assert found[0] == "blue"
    assert found[1] != "blue corner"  # the nearest, and too like the first
    assert names(index.as_query_engine(similarity_top_k=2).query(wish))[1] == "blue corner"


def test_a_top_k_of_zero_is_an_error(index):
    with pytest.raises(StoreError, match=r"was not tried: .*limit"):
        index.as_retriever(similarity_top_k=0).retrieve("red")


def test_filters_narrow_the_search(index):
    found = index.as_query_engine(
        similarity_top_k=9, filters=metadata_filters('price < 5 and file_name != "red.png"')
    ).query("red")
    assert names(found) == ["blue"]


def test_queries_run_concurrently_and_in_several_event_loops(index, images):
    engine = index.as_query_engine(similarity_top_k=1)

    async def eight() -> list[list[str]]:
        wishes = [QueryBundle("", image_path=str(p)) for p in sorted(images.glob("*.png"))[:8]]
        return [names(response) for response in await asyncio.gather(*map(engine.aquery, wishes))]

    wanted = [[path.stem] for path in sorted(images.glob("*.png"))[:8]]
    assert asyncio.run(eight()) == wanted
    assert asyncio.run(eight()) == wanted


def test_a_sync_query_works_inside_a_running_loop(index):
    async def like_a_notebook():
        return index.as_query_engine(similarity_top_k=1).query("green")

    assert len(asyncio.run(like_a_notebook()).source_nodes) == 1


def test_a_response_shows_its_images_in_a_notebook(index, images):
    reranker = LLVMRerank(llm=MockVision(reversing()))
    engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[reranker])
    response = engine.query("something green")
    answer, html = response.response, response._repr_html_()
    assert html.count('src="data:image/jpeg;base64,') == 3
    assert f"<b>1</b>, was 3 · {answer.results[0].score:.3f}<br>{answer.results[0].title}" in html
    assert "The last shall be first." in html
    assert RankedImages()._repr_html_().count("<img") == 0


def test_an_empty_result_is_reported(index):
    filters = metadata_filters("price > 1000")
    assert str(index.as_query_engine(filters=filters).query("red")) == "No image found."


def test_the_prompts_of_postprocessors_are_listed_and_changed(index):
    watching = Watching()
    engine = index.as_query_engine(node_postprocessors=[watching])
    assert engine.get_prompts()["node_postprocessor_0:wish"].get_template() == "rank for {wish}"


def test_nodes_are_added_by_their_image_and_deleted_by_id(index, images):
    pink = ImageNode(id_="pink", image_path=str(images / "red.png"), text="a pink thing")
    assert index.add([pink, TextNode(id_="words", text="green words")]) == ["pink", "words"]
    assert pink.embedding is None
    assert index.vector_store.vectors(["pink"])["pink"] == pytest.approx(
        toy_encoder().encode([images / "red.png"])[0].tolist(), abs=1e-6
    )
    index.delete(["pink", "words"])
    assert index.vector_store.count() == 10


def test_insert_nodes_embeds_images_too(index, images):
    node = ImageNode(id_="again", image_path=str(images / "red.png"))
    index.insert_nodes([node])
    asyncio.run(index.ainsert_nodes([node.model_copy(update={"id_": "async"})]))
    vectors = index.vector_store.vectors(["again", "async"])
    assert vectors["again"] == vectors["async"]
    assert vectors["again"] == pytest.approx(toy_encoder().encode([images / "red.png"])[0].tolist(), abs=1e-6)


@pytest.mark.parametrize("made", ["of nodes", "of documents"])
def test_an_index_built_from_image_nodes_without_text_holds_them_all(made, milvus_lite, embedding, images):
    paths = [str(path) for path in sorted(images.glob("*.png"))]
    with ComposedImageIndex.open(milvus_lite, embedding) as index:
        settings = {"storage_context": index.storage_context, "embed_model": embedding}
        if made == "of nodes":
            ComposedImageIndex([ImageNode(image_path=path) for path in paths], **settings)
        else:
            documents = [ImageDocument(image_path=path) for path in paths]
            ComposedImageIndex.from_documents(documents, **settings)
        found = index.as_retriever(similarity_top_k=20).retrieve("red")
        assert sorted(node.node.image_path for node in found) == paths


def test_an_ingestion_pipeline_fills_the_vector_store(index, embedding, images):
    pipeline = IngestionPipeline(transformations=[embedding], vector_store=index.vector_store)
    pipeline.run(nodes=[ImageNode(id_="piped", image_path=str(images / "red.png"))])
    assert list(index.vector_store.vectors(["piped"])) == ["piped"]


def test_indexing_twice_changes_nothing(index, images):
    report = index.add_folder(images, metadata=lambda path: {"price": len(path.stem)})
    assert (report.unchanged, report.embedded, report.files) == (10, 0, 10)
    assert index.vector_store.count() == 10


def test_a_deleted_image_is_indexed_again_with_its_folder(index, images):
    red = index.as_retriever(similarity_top_k=1).retrieve(QueryBundle("", image_path=str(images / "red.png")))[0]
    index.delete(red.node.node_id)
    assert index.vector_store.count() == 9
    assert index.add_folder(images).new == 1


def test_a_duplicate_image_is_one_node_with_both_paths(index, tmp_path, images):
    (tmp_path / "twin.png").write_bytes((images / "red.png").read_bytes())
    assert index.add_folder(tmp_path, policy=None).duplicate == 1
    node = index.as_retriever(similarity_top_k=1).retrieve("red")[0].node
    assert sorted(Path(name).name for name in node.metadata["names"]) == ["red.png", "twin.png"]


def test_an_index_over_another_encoder_is_refused(tmp_path, embedding):
    from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding

    with ComposedImageIndex.open(tmp_path / "s.db", embedding):
        other = VisualizedBGEEmbedding(encoder=toy_encoder("another"))
        with pytest.raises(StoreMismatchError, match=r"'toy'.*'another'"):
            ComposedImageIndex.open(tmp_path / "s.db", other)
