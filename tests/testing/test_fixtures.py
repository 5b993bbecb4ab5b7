"""The pytest plugin: fixtures in other projects, and its import time."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from llama_index.core.schema import QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.postprocessor.llvm_rerank import LLVMRerank
from PIL import Image

import mmrag.testing
from mmrag.datasets import PATTERNS, PRODUCTS, queries
from mmrag.testing import MockVision, looking, toy_encoder
from mmrag.testing.fixtures import DrawnCatalog

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


def test_another_project_gets_the_fixtures_without_an_import(tmp_path):
    """As pytest finds them in another project: by the entry point of the installed mmrag."""
    (found,) = entry_points(group="pytest11", name="mmrag")
    assert found.value == "mmrag.testing.fixtures"
    (tmp_path / "test_app.py").write_text(TESTS)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_the_example_of_the_documentation_runs(drawn_catalog, milvus_lite):
    (example,) = doctest.DocTestParser().get_examples(DrawnCatalog.__doc__)
    names = {name: getattr(mmrag.testing, name) for name in mmrag.testing.__all__} | {
        "ComposedImageIndex": ComposedImageIndex,
        "LLVMRerank": LLVMRerank,
        "VisualizedBGEEmbedding": VisualizedBGEEmbedding,
    }
    exec(example.source, names)
    names["test_my_app"](drawn_catalog, milvus_lite)


def test_the_plugin_imports_only_pytest_and_the_standard_library():
    code = (
        "import sys, pytest; before = set(sys.modules); import mmrag.testing.fixtures;"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(roots - sys.stdlib_module_names))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['mmrag']"


def test_an_unknown_name_of_mmrag_testing_raises_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'MockVison'; it has MALFORMED, MockVision"):
        _ = mmrag.testing.MockVison


def test_the_drawn_catalog_holds_images_and_their_metadata(drawn_catalog):
    assert {item.product for item in drawn_catalog.items} == set(PRODUCTS)
    assert {item.pattern for item in drawn_catalog.items} == set(PATTERNS)
    for item in drawn_catalog.items[:3]:
        with Image.open(drawn_catalog.path(item)) as image:
            assert image.size == (192, 192)
        assert drawn_catalog.metadata[item.file]["title"] == item.title
        assert drawn_catalog.metadata[item.file]["price"] == item.price


def test_a_mock_that_grades_by_relevance_ranks_exact_answers_first(drawn_catalog, milvus_lite, tmp_path):
    query = queries("swatch_product", 1, seed=3, catalog=drawn_catalog.items)[0]
    swatch = tmp_path / "swatch.png"
    query.image().save(swatch)
    vision = MockVision(looking(drawn_catalog.relevance(query.target)))
    with ComposedImageIndex.open(milvus_lite, VisualizedBGEEmbedding(encoder=toy_encoder())) as index:
        index.add_folder(drawn_catalog.folder, metadata=drawn_catalog.metadata)
        engine = index.as_query_engine(similarity_top_k=72, node_postprocessors=[LLVMRerank(llm=vision, passes=1)])
        nodes = engine.query(QueryBundle(query.text, image_path=str(swatch))).source_nodes
    items = [node.node.metadata for node in nodes]
    grades = [query.target.grade(item["product"], item["pattern"], item["color"]) for item in items]
    assert len(grades) == 72
    assert grades[0] == max(grades) > 0
