"""A `ComposedImageIndex` on a real server, searched through a stock LlamaIndex engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, RankedImagesSynthesizer
from PIL import Image

from mmrag.indexing import ImageEntry
from mmrag.testing import toy_encoder
from tests.server.eventually import in_the_end

pytestmark = pytest.mark.server

COLORS = ("red", "green", "yellow")
CORNERS = {"top left": (0, 0), "bottom right": (32, 32)}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A white square in two corners of every color; and one file that is no image."""
    shop = tmp_path / "shop"
    shop.mkdir()
    for color in COLORS:
        for corner in CORNERS:
            _image(color, corner).save(shop / f"{color} {corner}.png")
    (shop / "broken.png").write_bytes(b"no image")
    return shop


@pytest.fixture
def seen(tmp_path) -> str:
    """What a customer saw elsewhere: an image that the shop lacks."""
    file = tmp_path / "seen.png"
    _image("blue", "bottom right").save(file)
    return str(file)


@pytest.fixture
def index(milvus, collection):
    model = VisualizedBGEEmbedding(encoder=toy_encoder())
    with ComposedImageIndex.open(milvus.uri, model, collection) as index:
        yield index


def test_image_and_sentence_find_what_neither_finds_alone(index, folder, seen):
    index.add_folder(folder)
    engine = index.as_query_engine(similarity_top_k=1)
    assert _first(engine.query(QueryBundle("in red", image_path=seen))) == "red bottom right.png"
    assert _first(engine.query(f"in red ![]({seen})")) == "red bottom right.png"
    assert _first(engine.query(f"![]({seen})")) == "green bottom right.png"


def test_the_stock_engine_finds_it_too_and_leaves_the_bundle_alone(index, folder, seen):
    index.add_folder(folder)
    stock = RetrieverQueryEngine(index.as_retriever(similarity_top_k=1), response_synthesizer=RankedImagesSynthesizer())
    bundle = QueryBundle("in red", image_path=seen)
    assert _first(stock.query(bundle)) == "red bottom right.png"
    assert bundle == QueryBundle("in red", image_path=seen)


def test_a_table_is_followed_row_by_row(index, folder):
    red, green, blue = (str(folder / f"{color} top left.png") for color in COLORS)
    assert index.add_folder(_Prices({red: 1, green: 2})).new == 2
    report = index.add_folder(_Prices({red: 3, blue: 4}), sync=True)
    assert (report.new, report.changed, report.deleted, report.embedded) == (1, 1, 1, 1)
    assert in_the_end(lambda: _prices(index), {red: 3, blue: 4})


def _prices(index: ComposedImageIndex) -> dict[str, float]:
    found = index.as_retriever(similarity_top_k=9).retrieve("red")
    return {hit.node.image_path: hit.node.metadata["price"] for hit in found}


class _Prices(dict[str, float]):
    name = "/shop.csv"

    def __iter__(self):
        return (ImageEntry(path, {"price": price}) for path, price in self.items())


def _image(color: str, corner: str) -> Image.Image:
    image = Image.new("RGB", (64, 64), color)
    image.paste("white", (*CORNERS[corner], *(edge + 32 for edge in CORNERS[corner])))
    return image


def _first(response) -> str:
    return Path(response.source_nodes[0].node.image_path).name
