"""An encoder as a LlamaIndex embedding. In: text, images, both. Out: vectors, with events."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import llama_index.core.instrumentation as instrument
from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.bridge.pydantic import BaseModel, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.schema import BaseNode
from llama_index.core.utils import get_tqdm_iterable
from llama_index.embeddings.visualized_bge.image_sources import embeddable
from PIL import Image

from mmrag.embedding.base import Encoder
from mmrag.images import ImagePolicy, ImageSource, content_hash, load_image
from mmrag.images.policy import named
from mmrag.query import Query

__all__ = ["VisualizedBGEEmbedding"]

dispatcher = instrument.get_dispatcher(__name__)  # pyright: ignore[reportPrivateImportUsage]

DEFAULT_MODEL = "base-en-v1.5"


class VisualizedBGEEmbedding(MultiModalEmbedding):
    """Embed text, images, and an image with a sentence about it.

    Parameters
    ----------
    model_name
        What `mmrag.VisualizedBGE.from_pretrained` takes; loaded on first use.
    encoder
        A ready encoder instead, for instance one that several indexes share.
    device, dtype
        Where and how the model computes; the encoder decides when None.
    image_policy
        Which image references may be opened: by default any local file, and no URL.

    Examples
    --------
    >>> from mmrag.testing import toy_encoder
    >>> model = VisualizedBGEEmbedding(encoder=toy_encoder())
    >>> len(model.get_composed_embedding("in red", Image.new("RGB", (8, 8), "blue"))) == model.dim
    True
    """

    device: str | None = Field(default=None, description="Where the model computes.")
    dtype: str | None = Field(default=None, description="The number type the model computes in.")
    image_policy: ImagePolicy = Field(
        default_factory=ImagePolicy, exclude=True, description="What may be opened as an image."
    )
    encoder: Any = Field(default=None, exclude=True, repr=False, description="A ready encoder.")

    _loaded: Encoder | None = PrivateAttr(default=None)
    _loading: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(
        self,
        model_name: str | None = None,
        *,
        encoder: Encoder | None = None,
        embed_batch_size: int = 32,
        **fields: Any,
    ) -> None:
        fields["model_name"] = model_name or (encoder.name if encoder else DEFAULT_MODEL)
        super().__init__(embed_batch_size=embed_batch_size, **fields)
        self.encoder = encoder

    @classmethod
    def from_defaults(
        cls,
        model_name: str | None = None,
        *,
        encoder: Encoder | None = None,
        callback_manager: CallbackManager | None = None,
        **fields: Any,
    ) -> VisualizedBGEEmbedding:
        """Make one the way LlamaIndex components are made."""
        callbacks = callback_manager or CallbackManager([])
        return cls(model_name, encoder=encoder, callback_manager=callbacks, **fields)

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialization."""
        return "VisualizedBGEEmbedding"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Tell the settings; an `IngestionPipeline` never mistakes two runs for one by them."""
        return _Distinct(super().to_dict(**kwargs))

    @property
    def dim(self) -> int:
        """The length of every vector."""
        return self._model.dim

    @property
    def encoder_name(self) -> str:
        """What the encoder calls itself: the same however, and from wherever, it was loaded."""
        return self._model.name

    # -- an image and a sentence about it -------------------------------------------------------

    def get_composed_embedding(self, text: str, image: ImageSource | None) -> Embedding:
        """Embed a sentence and an image into one vector; either may be missing, not both."""
        return self._embedded([Query(text, image)])[0]

    async def aget_composed_embedding(self, text: str, image: ImageSource | None) -> Embedding:
        """Embed both, without blocking the event loop."""
        return await asyncio.to_thread(self.get_composed_embedding, text, image)

    # -- images --------------------------------------------------------------------------------

    def get_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        """Embed one image: a path, bytes, a file, a ``data:`` URI or a PIL image."""
        return self._embedded([Query(image=img_file_path)])[0]

    async def aget_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        """Embed one image, without blocking the event loop."""
        return await asyncio.to_thread(self.get_image_embedding, img_file_path)

    def get_image_embedding_batch(
        self, img_file_paths: Sequence[ImageSource], show_progress: bool = False
    ) -> list[Embedding]:
        """Embed images in batches of ``embed_batch_size``; order is kept."""
        size = self.embed_batch_size
        starts = range(0, len(img_file_paths), size)
        batches = get_tqdm_iterable(starts, show_progress, "Embedding images")
        return [
            embedding
            for start in batches
            for embedding in self._embedded([Query(image=image) for image in img_file_paths[start : start + size]])
        ]

    async def aget_image_embedding_batch(
        self, img_file_paths: Sequence[ImageSource], show_progress: bool = False
    ) -> list[Embedding]:
        """Embed images in batches, without blocking the event loop."""
        return await asyncio.to_thread(self.get_image_embedding_batch, img_file_paths, show_progress)

    # -- nodes (an IngestionPipeline calls these) ------------------------------------------------

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes that have an image by their image, and all others by their text."""
        images = {i: source for i, node in enumerate(nodes) if (source := embeddable(node))}
        texts = [node for i, node in enumerate(nodes) if i not in images]
        if texts:
            super().__call__(texts, **kwargs)
        show_progress = bool(kwargs.get("show_progress", False))
        vectors = self.get_image_embedding_batch(list(images.values()), show_progress)
        for i, vector in zip(images, vectors, strict=True):
            nodes[i].embedding = vector
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes, without blocking the event loop."""
        return await asyncio.to_thread(self, nodes, **kwargs)

    # -- what the base class asks for ------------------------------------------------------------

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._encode([query])[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._encode([text])[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._encode(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    def _get_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        return self._encode([load_image(img_file_path, self.image_policy)])[0]

    async def _aget_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)

    # -- the way to the encoder ------------------------------------------------------------------

    def _embedded(self, queries: Sequence[Query]) -> list[Embedding]:
        with self._told([_in_words(query) for query in queries]) as tell:
            embeddings = self._remembered([self._opened(query) for query in queries])
            tell(embeddings)
        return embeddings

    @contextmanager
    def _told(self, chunks: list[str]) -> Generator[Callable[[list[Embedding]], None]]:
        payload = self.to_payload()
        dispatcher.event(EmbeddingStartEvent(model_dict=payload))
        with self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:

            def tell(embeddings: list[Embedding]) -> None:
                event.on_end(payload={EventPayload.CHUNKS: chunks, EventPayload.EMBEDDINGS: embeddings})
                dispatcher.event(EmbeddingEndEvent(chunks=chunks, embeddings=embeddings))

            yield tell

    def _opened(self, query: Query) -> Query:
        if query.image is None:
            return query
        return Query(query.text, load_image(query.image, self.image_policy))

    def _remembered(self, queries: list[Query]) -> list[Embedding]:
        if self.embeddings_cache is None:
            return self._encode(queries)
        keys = [_cache_key(query, self.model_name) for query in queries]
        known = {key: self.embeddings_cache.get(key, collection="embeddings") for key in keys}
        missing = {key: q for key, q in zip(keys, queries, strict=True) if not known[key]}
        for key, vector in zip(missing, self._encode(list(missing.values())), strict=True):
            known[key] = {str(uuid.uuid4()): vector}
            self.embeddings_cache.put(key, known[key], collection="embeddings")
        return [next(iter(known[key].values())) for key in keys]

    def _encode(self, items: Sequence[Query | str | Image.Image]) -> list[Embedding]:
        if not items:
            return []
        if self.rate_limiter is not None:
            self.rate_limiter.acquire()
        return self._model.encode(items, batch_size=self.embed_batch_size).tolist()

    @property
    def _model(self) -> Encoder:
        if self.encoder is not None:
            return self.encoder
        with self._loading:
            if self._loaded is None:
                from mmrag.embedding import VisualizedBGE

                self._loaded = VisualizedBGE.from_pretrained(self.model_name, device=self.device, dtype=self.dtype)
            return self._loaded

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> VisualizedBGEEmbedding:
        return self.model_copy()  # of its settings: the weights are shared

    def __getstate__(self) -> dict[Any, Any]:
        # not the loaded weights: a spawned process loads its own; nor LlamaIndex's trial pickling
        return {**BaseModel.__getstate__(self), "__pydantic_private__": None}


class _Distinct(dict[str, Any]):
    """Settings that look different each time.

    A pipeline looks up earlier runs by the nodes' texts and `str` of these settings. Images often
    have no text, or keep their path when they change: it would hand out another run's nodes.
    """

    def __str__(self) -> str:
        return f"{super().__str__()} {uuid.uuid4()}"


def _in_words(query: Query) -> str:
    image = "" if query.image is None else f"[{named(query.image)}]"
    return f"{query.text} {image}".strip()


def _cache_key(query: Query, model: str) -> str:
    image = content_hash(query.image) if isinstance(query.image, Image.Image) else ""
    return f"composed:{model}:{image}:{query.text}"
