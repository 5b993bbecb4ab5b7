"""A server that is killed, or restarted in the middle of something, loses nothing acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex, ImageVectorStore, milvus_store
from PIL import Image

from mmrag.testing import toy_encoder
from tests.server.rows import DIM, VECTORS, row_id, rows

pytestmark = pytest.mark.server

N = 3_000


@pytest.fixture
def store(milvus, collection) -> ImageVectorStore:
    return milvus_store(milvus.uri, collection, DIM, model="toy")


def test_after_kill_9_every_acknowledged_row_is_back(milvus, store):
    acknowledged = store.add(rows(range(N)))
    store.delete_nodes(acknowledged[:500])
    milvus.kill()
    milvus.start()

    again = milvus_store(milvus.uri, store.collection_name, DIM, model="toy")
    assert again.count() == N - 500
    assert set(again.vectors(acknowledged)) == set(acknowledged[500:])
    assert _search(again, 700) == row_id(700)


def test_writing_and_searching_go_on_through_a_restart(milvus, store):
    store.add(rows(range(100)))
    half_way, warm = Event(), Event()

    def write() -> None:
        for start in range(100, N, 100):
            store.add(rows(range(start, start + 100)))
            if start >= N // 2:
                half_way.set()

    def search() -> None:
        for number in range(60):
            assert _search(store, number) == row_id(number)
            if number >= 30:
                warm.set()

    _restart_meanwhile(milvus, {write: half_way, search: warm})
    again = milvus_store(milvus.uri, store.collection_name, DIM, model="toy")
    assert again.count() == N
    assert set(again.vectors([row_id(i) for i in range(N)])) == {row_id(i) for i in range(N)}


def test_indexing_a_folder_goes_on_through_a_restart(milvus, collection, tmp_path):
    for i in range(400):
        Image.new("RGB", (8, 8), (i % 256, i // 256, 90)).save(tmp_path / f"{i}.png")
    model = VisualizedBGEEmbedding(encoder=toy_encoder())
    index = ComposedImageIndex.open(milvus.uri, model, collection)
    half_way = Event()

    def add() -> None:
        index.add_folder(tmp_path, on_progress=lambda done, total: done * 2 < total or half_way.set())

    _restart_meanwhile(milvus, {add: half_way})
    assert ComposedImageIndex.open(milvus.uri, model, collection).vector_store.count() == 400


def _restart_meanwhile(milvus, work: dict[Callable[[], None], Event]) -> None:
    # The server is started by this thread, the only one that outlives the restart.
    with ThreadPoolExecutor(len(work)) as pool:
        working = {pool.submit(task): moment for task, moment in work.items()}
        for task, moment in working.items():
            assert moment.wait(timeout=120) or task.result()
        milvus.kill()
        milvus.start()
        for task in working:
            task.result(timeout=180)


def _search(store: ImageVectorStore, number: int) -> str:
    result = store.query(VectorStoreQuery(VECTORS[number].tolist(), similarity_top_k=1))
    return result.ids[0]
