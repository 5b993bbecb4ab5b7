"""A server over an index of twelve drawn images, with toy models: no weights, no network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from live_server import serving
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from web_page import CHROMIUM, DESKTOP, FLAGS

from mmrag.datasets import draw_product, draw_swatch
from mmrag.images import ImagePolicy, ImageSource
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank import ListwiseReranker
from mmrag.search import ImageSearcher
from mmrag.serving.app import create_app
from mmrag.serving.service import Limits
from mmrag.settings import Settings
from mmrag.testing import MockVision, RankRequest, ToyEncoder, looking, reversing
from mmrag.testing.vision import MockAnswer
from mmrag.vision.base import VisionLLM


class Gate:
    """A vision LLM that answers once the gate is open; `waits` is set when a call waits."""

    def __init__(self, answer: MockAnswer) -> None:
        self.waits, self.opened = threading.Event(), threading.Event()
        self.answer = answer

    def __call__(self, request: RankRequest) -> Ranking | str:
        self.waits.set()
        assert self.opened.wait(60)
        return self.answer(request)


PRODUCTS = ("mug", "tote bag", "cushion", "t-shirt")
COLORS = ("red", "blue", "green")


@dataclass(frozen=True)
class WordAwareEncoder(ToyEncoder):
    """A toy encoder that reports unknown words, and encodes even "!?"."""

    def _vector(self, item: Query | str | ImageSource) -> np.ndarray:
        return super()._vector(item) + 1e-3  # no real encoder answers nothing

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.split() if word == "dinosaur"]


class ToySearcher(ImageSearcher):
    """The real searcher, built from parts instead of settings."""

    def __init__(self, index: ComposedImageIndex, encoder: WordAwareEncoder, vision: VisionLLM):
        self.settings = Settings(top=9)
        self.policy = ImagePolicy()
        self.encoder, self.index = encoder, index
        self.reranker = ListwiseReranker(vision, policy=self.policy)


@dataclass(frozen=True)
class Shop:
    """Twelve images in a folder, and their index."""

    folder: Path
    index: ComposedImageIndex
    encoder: WordAwareEncoder

    def searcher(self, vision: VisionLLM | None = None) -> ToySearcher:
        return ToySearcher(self.index, self.encoder, vision or MockVision(reversing()))


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    metadata = {}
    for product in PRODUCTS:
        for color in COLORS:
            name = f"{color}-{product.replace(' ', '-')}.jpg"
            draw_product(product, "plain", color, 1).save(folder / name)
            metadata[name] = {
                "title": f"{color} {product}",
                "product": product,
                "color": color,
                "price": 10.0 + len(metadata),
            }
    encoder = WordAwareEncoder()
    columns = {"title": str, "product": str, "color": str, "price": float}
    place = tmp_path_factory.mktemp("index") / "shop.db"
    embedding = VisualizedBGEEmbedding(encoder=encoder)
    with ComposedImageIndex.open(place, embedding, "shop", scalar_fields=columns) as index:
        index.add_folder(folder, metadata=metadata)
        yield Shop(folder, index, encoder)


@pytest.fixture
def serve(shop) -> Iterator[Callable[..., TestClient]]:
    """Returns clients of an app with the given vision LLM, token and limits."""
    clients: list[TestClient] = []

    def make(vision=None, *, token="", host="127.0.0.1", **limits) -> TestClient:
        app = create_app(shop.searcher(vision), Limits(**limits), token=token)
        client = TestClient(app, base_url=f"http://{host}")
        clients.append(client.__enter__())
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Reverses, once it is opened."""
    gate = Gate(reversing())
    yield gate
    gate.opened.set()


@pytest.fixture
def client(serve) -> TestClient:
    return serve()


def blueness(image) -> float:
    """How blue a cell is: a vision LLM that likes blue things."""
    red, green, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    return (blue - (red + green) / 2) / 100


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A fresh Chromium, closed with its module: as long as it is open, an event loop runs here.

    Other tests of the same session could not start loops of their own beside it.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            headless=True,
            viewport=DESKTOP,
            permissions=["clipboard-read", "clipboard-write"],
        )
        yield context
        context.close()


@pytest.fixture(scope="session")
def gated_server(shop):
    """A server whose vision LLM waits at a gate: the gate, and the URL."""
    gate = Gate(looking(blueness))
    app = create_app(shop.searcher(MockVision(gate)), Limits(upload_bytes=1_000_000, queue_size=1))
    with serving(app) as address:
        yield gate, address
        gate.opened.set()


@pytest.fixture
def gate_open(gated_server):
    """Set unless a test clears it; while it is clear, the vision LLM does not answer."""
    gated_server[0].opened.set()
    return gated_server[0].opened


@pytest.fixture
def page(browser, gated_server, gate_open):
    page, address = browser.new_page(), gated_server[1]
    page.set_default_timeout(20_000)
    faults, elsewhere = [], []

    def console(message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    page.on("console", console)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: r.url.startswith((address, "blob:")) or elsewhere.append(r.url))
    page.goto(address)
    yield page
    gate_open.set()
    page.close()
    assert (faults, elsewhere) == ([], [])


@pytest.fixture
def leopard(tmp_path):
    file = tmp_path / "leopard.png"
    draw_swatch("leopard", "tan", 1).save(file)
    return file
