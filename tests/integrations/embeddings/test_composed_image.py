"""Every method of the embedding returns the encoder's vector, and async ones do not block the event loop."""

from __future__ import annotations

import asyncio
import base64
import copy
import pickle
import threading
import time

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import Document, ImageDocument, ImageNode, MediaResource, Node, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from PIL import Image

from mmrag.embedding.base import EncoderInfo
from mmrag.errors import EncodeError, ImageError, QueryError, SettingError
from mmrag.images import ImagePolicy
from mmrag.query import Query
from mmrag.testing import ToyEncoder, toy_encoder

RED = Image.new("RGB", (8, 8), "red")


class CountingEncoder(ToyEncoder):
    """Records the number of items per call."""

    def __init__(self, pause: float = 0.0):
        super().__init__()
        object.__setattr__(self, "calls", [])
        object.__setattr__(self, "pause", pause)

    def encode(self, items, **options):
        self.calls.append(len(items))
        time.sleep(self.pause)
        return super().encode(items, **options)


def expected(item) -> list[float]:
    return toy_encoder().encode([item])[0].tolist()


def test_it_is_a_llamaindex_multi_modal_embedding():
    names = [cls.__name__ for cls in ComposedImageEmbedding.__mro__]
    assert MultiModalEmbedding.__name__ in names
    assert BaseEmbedding.__name__ in names
    assert ComposedImageEmbedding.class_name() == "ComposedImageEmbedding"


def test_every_method_returns_the_encoders_vector(embedding, images):
    path = str(images / "red.png")
    assert embedding.get_text_embedding("red") == expected("red")
    assert embedding.get_query_embedding("red") == expected("red")
    assert embedding.get_image_embedding(path) == expected(images / "red.png")
    assert embedding.get_image_embedding((images / "red.png").read_bytes()) == expected(RED)
    assert embedding.get_composed_embedding("in blue", path) == expected(Query("in blue", path))
    assert embedding.get_composed_embedding("", path) == expected(RED)
    assert embedding.get_composed_embedding("blue", None) == expected("blue")
    assert embedding.get_text_embedding_batch(["a", "b"]) == [expected("a"), expected("b")]
    assert embedding.get_image_embedding_batch([path, RED]) == [expected(RED)] * 2


def test_every_async_method_returns_the_same_vector(embedding, images):
    path = str(images / "red.png")

    async def all_methods():
        return await asyncio.gather(
            embedding.aget_text_embedding("red"),
            embedding.aget_query_embedding("red"),
            embedding.aget_image_embedding(path),
            embedding.aget_composed_embedding("in blue", path),
        )

    expected_vectors = [expected("red")] * 2 + [expected(RED), expected(Query("in blue", RED))]
    assert asyncio.run(all_methods()) == expected_vectors
    assert asyncio.run(all_methods()) == expected_vectors  # and in a second loop
    batch = asyncio.run(embedding.aget_image_embedding_batch([path, RED]))
    assert batch == [expected(RED)] * 2


@pytest.mark.parametrize("method", ["text", "query", "image", "composed"])
def test_async_methods_do_not_block_the_event_loop(method):
    model = ComposedImageEmbedding(encoder=CountingEncoder(pause=0.2))
    calls = {
        "text": lambda: model.aget_text_embedding("a"),
        "query": lambda: model.aget_query_embedding("a"),
        "image": lambda: model.aget_image_embedding(RED),
        "composed": lambda: model.aget_composed_embedding("a", RED),
    }

    async def turns_of_the_loop() -> int:
        work, turns = asyncio.ensure_future(calls[method]()), 0
        while not work.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    assert asyncio.run(turns_of_the_loop()) > 5


def test_an_empty_query_is_refused(embedding):
    with pytest.raises(QueryError, match="empty"):
        embedding.get_composed_embedding(" ", None)


def test_a_text_with_markdown_opens_no_file(embedding, images):
    text = f"![]({images / 'red.png'})"
    for method in (embedding.get_text_embedding, embedding.get_query_embedding):
        assert method(text) == expected(text) != expected(RED)
    assert embedding.get_composed_embedding(rf"\{text}", RED) == expected(Query(rf"\{text}", RED))


def test_an_encoder_is_not_called_with_a_kind_it_lacks():
    class TextEncoder(CountingEncoder):
        info = EncoderInfo("text-only", "1", 124, kinds=frozenset({"text"}))

    encoder = TextEncoder()
    model = ComposedImageEmbedding(encoder=encoder)
    with pytest.raises(EncodeError, match=r"item 0 is of the kind 'composed', encoder 'text-only' encodes only text"):
        model.get_composed_embedding("in blue", RED)
    assert model.get_text_embedding("blue") == expected("blue")
    assert encoder.calls == [1]


def test_without_model_or_encoder_it_cannot_be_created():
    with pytest.raises(SettingError, match="give model_name"):
        ComposedImageEmbedding()
    assert VisualizedBGEEmbedding().model_name == "base-en-v1.5"


def test_images_go_to_the_encoder_in_batches():
    encoder = CountingEncoder()
    model = ComposedImageEmbedding(encoder=encoder, embed_batch_size=3)
    assert len(model.get_image_embedding_batch([RED] * 7)) == 7
    assert encoder.calls == [3, 3, 1]


def test_progress_is_shown_when_asked(embedding, capfd):
    embedding.get_image_embedding_batch([RED], show_progress=True)
    assert "Embedding images" in capfd.readouterr().err


def test_the_embeddings_cache_is_keyed_by_image_content_and_text(images):
    encoder = CountingEncoder()
    model = ComposedImageEmbedding(encoder=encoder, embeddings_cache=SimpleKVStore())
    first = model.get_composed_embedding("in blue", str(images / "red.png"))
    again = model.get_composed_embedding("in blue", Image.new("RGB", (16, 16), "red"))
    assert (first, len(encoder.calls)) == (again, 1)
    assert model.get_composed_embedding("in black", str(images / "red.png")) != first
    assert model.get_composed_embedding("in blue", str(images / "green.png")) != first
    assert len(encoder.calls) == 3


def test_one_image_twice_in_a_batch_is_encoded_once_with_a_cache():
    encoder = CountingEncoder()
    model = ComposedImageEmbedding(encoder=encoder, embeddings_cache=SimpleKVStore())
    assert model.get_image_embedding_batch([RED, RED]) == [expected(RED)] * 2
    assert encoder.calls == [1]


def test_nodes_with_an_image_are_embedded_by_it_and_others_by_their_text(embedding, images):
    data = base64.b64encode((images / "red.png").read_bytes()).decode()
    nodes = [
        ImageNode(image_path=str(images / "red.png"), text="a green thing"),
        TextNode(text="green"),
        ImageNode(image=data),
        ImageNode(text="no image at all"),
    ]
    expected_vectors = [expected(RED), expected("green"), expected(RED), expected("no image at all")]
    assert [node.embedding for node in embedding(nodes)] == expected_vectors
    nodes = asyncio.run(embedding.acall([node.model_copy() for node in nodes]))
    assert [node.embedding for node in nodes] == expected_vectors


def test_an_ingestion_pipeline_embeds_images(embedding, images):
    pipeline = IngestionPipeline(transformations=[embedding])
    nodes = pipeline.run(nodes=[ImageNode(image_path=str(images / "red.png"))])
    assert nodes[0].embedding == expected(RED)


def test_an_ingestion_pipeline_caches_no_image_under_anothers_key(embedding, tmp_path):
    pipeline = IngestionPipeline(transformations=[embedding])
    path = tmp_path / "photo.png"
    for color in ("red", "blue", "green"):  # no text tells these nodes apart, nor any path
        Image.new("RGB", (16, 16), color).save(path)
        (node,) = pipeline.run(nodes=[ImageNode(id_=color, image_path=str(path))])
        assert (node.node_id, node.embedding) == (color, expected(Image.open(path)))


@pytest.mark.parametrize("node_class", [ImageDocument, Document, Node])
def test_every_node_class_with_an_image_is_embedded_by_it(node_class, embedding, images):
    path = str(images / "red.png")
    kept = {"image_path": path} if node_class is ImageDocument else {}
    node = node_class(**(kept or {"image_resource": MediaResource(path=path)}))
    assert embedding([node])[0].embedding == expected(RED)


def test_a_deep_copy_shares_the_weights():
    model = ComposedImageEmbedding("demo", embed_batch_size=5)
    model.get_text_embedding("a mug")
    copied = copy.deepcopy(model)
    assert copied.embed_batch_size == 5
    assert copied.get_text_embedding("a mug") == model.get_text_embedding("a mug")
    assert copied._model is model._model


def test_a_node_with_invalid_base64_is_named(embedding):
    with pytest.raises(EncodeError, match="node n1: its `image` is no base64"):
        embedding([ImageNode(id_="n1", image="%%%")])


def test_the_image_policy_is_enforced(tmp_path, images):
    model = ComposedImageEmbedding(encoder=toy_encoder(), image_policy=ImagePolicy(roots=[tmp_path]))
    with pytest.raises(ImageError, match="outside of the allowed folders"):
        model.get_composed_embedding("in blue", str(images / "red.png"))
    with pytest.raises(ImageError):
        model.get_image_embedding("http://images.example/a.png")


def test_an_embedding_can_be_pickled():
    model = ComposedImageEmbedding(encoder=toy_encoder(), embed_batch_size=5)
    arrived = pickle.loads(pickle.dumps(model))
    assert arrived.embed_batch_size == 5
    assert arrived.get_image_embedding(RED) == expected(RED)


def test_a_named_model_is_loaded_once_and_left_out_of_pickles(monkeypatch):
    import mmrag.embedding

    loads = []

    def load_encoder(name, **options):
        loads.append((name, options))
        time.sleep(0.05)
        encoder = toy_encoder()
        object.__setattr__(encoder, "lock", threading.Lock())  # as unpicklable as weights
        return encoder

    monkeypatch.setattr(mmrag.embedding, "load_encoder", load_encoder, raising=False)
    model = ComposedImageEmbedding("tiny", device="cpu", dtype="bfloat16")
    assert loads == []
    threads = [threading.Thread(target=model.get_image_embedding, args=(RED,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [("tiny", {"device": "cpu", "dtype": "bfloat16"})]
    arrived = pickle.loads(pickle.dumps(model))
    assert arrived.get_image_embedding(RED) == expected(RED)
    assert len(loads) == 2


def test_serialized_settings_hold_neither_encoder_nor_policy(embedding):
    assert set(embedding.to_payload()) == {"class_name", "model_name", "embed_batch_size"}
    assert not {"encoder", "image_policy"} & set(embedding.to_dict())
    assert ComposedImageEmbedding.from_dict(embedding.to_dict()).model_name == "toy"


def test_the_similarity_of_an_image_to_itself_is_one(embedding):
    vector = embedding.get_image_embedding(RED)
    assert embedding.similarity(vector, vector) == pytest.approx(1)
    assert np.linalg.norm(vector) == pytest.approx(1)
