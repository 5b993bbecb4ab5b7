"""An index on a real server: killed on either side, its record lost, its tables too wide."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, metadata_filters
from PIL import Image
from run_profile import scaled

from mmrag.filters import parse_filter
from mmrag.indexing.tables import open_table
from mmrag.testing import toy_encoder
from tests.server.eventually import in_the_end

pytestmark = pytest.mark.server

IMAGES = 400
INDEX = """
import sys
from pathlib import Path
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from mmrag.indexing.tables import open_table
from mmrag.indexing import pipeline
from mmrag.testing import toy_encoder
pipeline.BATCH = 16
model = VisualizedBGEEmbedding(encoder=toy_encoder())
index = ComposedImageIndex.open(sys.argv[1], model, sys.argv[2])
table = open_table(Path(sys.argv[3]))
index.add_folder(table, sync=True, on_progress=lambda *_: print(flush=True))
"""


@pytest.fixture(autouse=True)
def data_home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def table(tmp_path) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(IMAGES):
        Image.new("RGB", (8, 8), (i % 256, i // 256, 90)).save(tmp_path / "photos" / f"{i}.png")
    return write(tmp_path / "shop.csv", range(IMAGES))


@pytest.fixture
def open_index(milvus, collection):
    def open(**columns) -> ComposedImageIndex:
        model = VisualizedBGEEmbedding(encoder=toy_encoder())
        return ComposedImageIndex.open(milvus.uri, model, collection, scalar_fields=columns)

    return open


def write(file: Path, numbers, price: int = 0) -> Path:
    rows = (f"photos/{i}.png,{i + price}\n" for i in numbers)
    file.write_text("image,price\n" + "".join(rows))
    return file


def prices(index: ComposedImageIndex) -> list[int]:
    store = index.vector_store
    ids = [node.node_id for page in store.pages() for node in page]
    assert len(set(ids)) == len(ids)
    return sorted(int(node.metadata["price"]) for node in store.get_nodes(ids))


@pytest.mark.parametrize("rows", [10, 150, 290][: scaled(fast=2, full=3)])
def test_a_run_killed_in_a_table_is_completed_by_the_next(milvus, collection, open_index, table, rows):
    with open_index() as index:
        index.add_folder(open_table(write(table, range(0, IMAGES, 2), price=1000)))
    write(table, range(IMAGES // 4, IMAGES))
    command = [sys.executable, "-c", INDEX, milvus.uri, collection, str(table)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout
        for _ in range(rows):
            process.stdout.readline()
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with open_index() as index:
        index.add_folder(open_table(table), sync=True)
        assert in_the_end(lambda: prices(index), list(range(IMAGES // 4, IMAGES)))


def test_the_record_of_another_machine_is_made_out_of_what_is_stored(open_index, table, data_home):
    with open_index() as index:
        index.add_folder(open_table(table))
    shutil.rmtree(data_home)
    for i in range(10):
        (table.parent / "photos" / f"{i}.png").unlink()
    with open_index() as index:
        report = index.add_folder(table.parent / "photos", sync=True)
        assert (report.unchanged + report.changed, report.deleted, report.embedded) == (390, 10, 0)
        index.add_folder(open_table(table))
        assert in_the_end(lambda: prices(index), list(range(10, IMAGES)))


def test_a_row_without_a_required_column_is_reported_and_the_run_goes_on(open_index, table):
    with open_index(price=float) as index:  # no column may be empty here, before Milvus 2.5
        index.add_folder(open_table(table))
        assert len(index.add_folder(table.parent / "photos").skipped) == 0
        report = index.add_folder(open_table(write(table, range(1, IMAGES))), sync=True)
        assert [skip.path.name for skip in report.skipped] == ["0.png"]
        assert "no 'price'" in report.skipped[0].reason
        assert in_the_end(lambda: prices(index), list(range(1, IMAGES)))


def test_a_table_of_a_thousand_columns_is_indexed(open_index, table):
    heads = ["image", "price", *(f"c{i}" for i in range(1000)), "long" * 100]
    rows = (",".join([f"photos/{i}.png", *map(str, range(i, i + 1002))]) for i in range(3))
    table.write_text("\n".join([",".join(heads), *rows]))
    opened = open_table(table)
    with open_index(**opened.columns) as index:
        assert index.add_folder(opened).new == 3
        for field in ("c3", "c999"):  # with a column, and without
            number = int(field[1:]) + 3  # as it stands in the last row
            filters = metadata_filters(parse_filter(f"{field} == {number}"))
            (hit,) = index.as_retriever(filters=filters).retrieve("red")
            assert hit.node.metadata["price"] == 2
