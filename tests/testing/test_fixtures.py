"""The fixtures that every app's tests get, as a tester would use them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from textwrap import dedent

from llama_index.core.schema import QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from PIL import Image

import mmrag.testing
from mmrag.datasets import PATTERNS, PRODUCTS, queries
from mmrag.testing import MockVision, looking, toy_encoder

TESTS = """
import fcntl
from pymilvus import MilvusClient

left = []


def test_one(drawn_catalog, milvus_lite):
    assert len(drawn_catalog.items) == 72
    MilvusClient(str(milvus_lite))  # and never closed
    left.append(milvus_lite)


def test_another(milvus_lite):
    assert milvus_lite not in left
    assert not milvus_lite.exists()
    with (left[0] / "LOCK").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def test_another_project_has_them_without_an_import(tmp_path):
    """As pytest finds them in another project: by the entry point of the installed mmrag."""
    (found,) = entry_points(group="pytest11", name="mmrag")
    assert found.value == "mmrag.testing.fixtures"
    (tmp_path / "test_app.py").write_text(TESTS)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_the_example_of_the_documentation_runs(drawn_catalog, milvus_lite):
    example = mmrag.testing.__doc__.partition("\n\n    ")[2]
    names = {
        "ComposedImageIndex": ComposedImageIndex,
        "LLVMRerank": LLVMRerank,
        "VisualizedBGEEmbedding": VisualizedBGEEmbedding,
        **vars(mmrag.testing),
    }
    exec(dedent(f"    {example}"), names)
    names["test_my_app"](drawn_catalog, milvus_lite)


def test_a_pytest_run_that_does_not_use_them_does_not_pay_for_them():
    heavy = ("torch", "transformers", "llama_index", "pymilvus", "mmrag.datasets")
    code = f"import sys, mmrag.testing.fixtures; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_catalog_is_images_and_what_is_true_of_them(drawn_catalog):
    assert {item.product for item in drawn_catalog.items} == set(PRODUCTS)
    assert {item.pattern for item in drawn_catalog.items} == set(PATTERNS)
    for item in drawn_catalog.items[:3]:
        with Image.open(drawn_catalog.path(item)) as image:
            assert image.size == (192, 192)
        assert drawn_catalog.metadata[item.file]["title"] == item.title
        assert drawn_catalog.metadata[item.file]["price"] == item.price


def test_a_reranker_that_knows_the_catalog_puts_right_answers_first(drawn_catalog, milvus_lite, tmp_path):
    query = queries("swatch_product", 1, seed=3, catalog=drawn_catalog.items)[0]
    swatch = tmp_path / "swatch.png"
    query.image().save(swatch)
    vision = MockVision(looking(drawn_catalog.relevance(query.target)))
    with ComposedImageIndex.open(milvus_lite, VisualizedBGEEmbedding(encoder=toy_encoder())) as index:
        index.add_folder(drawn_catalog.folder, metadata=drawn_catalog.metadata)
        engine = index.as_query_engine(similarity_top_k=72, node_postprocessors=[LLVMRerank(llm=vision, passes=1)])
        nodes = engine.query(QueryBundle(query.text, image_path=str(swatch))).source_nodes
    facts = [node.node.metadata for node in nodes]
    grades = [query.target.grade(f["product"], f["pattern"], f["color"]) for f in facts]
    assert len(grades) == 72
    assert grades[0] == max(grades) > 0
