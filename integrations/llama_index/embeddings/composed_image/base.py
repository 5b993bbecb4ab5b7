"""A LlamaIndex embedding of texts, images and composed queries by any encoder."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import llama_index.core.instrumentation as instrument
from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.bridge.pydantic import BaseModel, Field, PrivateAttr
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.schema import BaseNode
from llama_index.core.utils import get_tqdm_iterable
from llama_index.embeddings.composed_image.image_sources import embeddable_image
from PIL import Image

from mmrag.embedding.base import Encoder, EncoderInfo, Role, as_query, check_kinds
from mmrag.errors import SettingError
from mmrag.images import ImagePolicy, ImageSource, content_hash, load_image
from mmrag.images.redact import describe_source
from mmrag.query import Query

__all__ = ["ComposedImageEmbedding"]

dispatcher = instrument.get_dispatcher(__name__)  # pyright: ignore[reportPrivateImportUsage]


class ComposedImageEmbedding(MultiModalEmbedding):
    """Embed texts, images, and images with a sentence about them. Async methods run in a thread.

    Parameters
    ----------
    model_name : str, optional
        A name or folder for `mmrag.load_encoder`; loaded on first use.
    encoder : Encoder, optional
        A loaded encoder instead, for instance one shared by several indexes.
    embed_batch_size : int
        Number of items per call of the encoder. Default: 32.
    device, dtype : str, optional
        Device and number type of the model. Default: the encoder decides.
    image_policy : ImagePolicy, optional
        Which image sources may be opened. Default: any local file, no URL.

    Raises
    ------
    SettingError
        If neither ``model_name`` nor ``encoder`` is given.

    Examples
    --------
    >>> from mmrag.testing import toy_encoder
    >>> model = ComposedImageEmbedding(encoder=toy_encoder())
    >>> len(model.get_composed_embedding("in red", Image.new("RGB", (8, 8), "blue"))) == model.info.dim
    True
    """

    default_model: ClassVar[str | None] = None

    embed_batch_size: int = Field(default=32, gt=0, le=2048, description="Number of items per call of the encoder.")
    device: str | None = Field(default=None, description="Device of the model.")
    dtype: str | None = Field(default=None, description="Number type of the model.")
    image_policy: ImagePolicy = Field(default=ImagePolicy(), exclude=True, description="Which images may be opened.")
    encoder: Any = Field(default=None, exclude=True, repr=False, description="A loaded encoder.")

    _loaded: Encoder | None = PrivateAttr(default=None)
    _loading: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, model_name: str | None = None, *, encoder: Encoder | None = None, **fields: Any) -> None:
        name = model_name or (encoder.info.name if encoder else self.default_model)
        if name is None:
            raise SettingError("no encoder is named: give model_name, for instance 'base-en-v1.5', or encoder")
        super().__init__(model_name=name, **fields)
        self.encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for serialization."""
        return cls.__name__

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Serialize the settings; as a string they are unique, so that no `IngestionPipeline` caches by them."""
        return _UncachedSettings(super().to_dict(**kwargs))

    @property
    def info(self) -> EncoderInfo:
        """Name, fingerprint, dimension and kinds of the encoder; loads it."""
        return self._model.info

    def get_composed_embedding(self, text: str, image: ImageSource | None) -> Embedding:
        """Embed a sentence and an image into one vector; one of them may be empty."""
        return self._embed_with_events([Query(text, image)], "query")[0]

    async def aget_composed_embedding(self, text: str, image: ImageSource | None) -> Embedding:
        """Async version of `get_composed_embedding`."""
        return await asyncio.to_thread(self.get_composed_embedding, text, image)

    def get_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        """Embed one image: a path, bytes, a binary file, a ``data:`` URI or a PIL image."""
        return self._embed_with_events([_as_item(img_file_path)], "document")[0]

    async def aget_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        """Async version of `get_image_embedding`."""
        return await asyncio.to_thread(self.get_image_embedding, img_file_path)

    def get_image_embedding_batch(
        self, img_file_paths: Sequence[ImageSource], show_progress: bool = False
    ) -> list[Embedding]:
        """Embed images in batches of ``embed_batch_size``, in input order."""
        size = self.embed_batch_size
        embeddings: list[Embedding] = []
        for start in get_tqdm_iterable(range(0, len(img_file_paths), size), show_progress, "Embedding images"):
            items = [_as_item(image) for image in img_file_paths[start : start + size]]
            embeddings += self._embed_with_events(items, "document")
        return embeddings

    async def aget_image_embedding_batch(
        self, img_file_paths: Sequence[ImageSource], show_progress: bool = False
    ) -> list[Embedding]:
        """Async version of `get_image_embedding_batch`."""
        return await asyncio.to_thread(self.get_image_embedding_batch, img_file_paths, show_progress)

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Embed nodes that have an image by their image, and all others by their text."""
        images = {i: source for i, node in enumerate(nodes) if (source := embeddable_image(node))}
        texts = [node for i, node in enumerate(nodes) if i not in images]
        if texts:
            super().__call__(texts, **kwargs)
        vectors = self.get_image_embedding_batch(list(images.values()), bool(kwargs.get("show_progress")))
        for i, vector in zip(images, vectors, strict=True):
            nodes[i].embedding = vector
        return nodes

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Async version of the call."""
        return await asyncio.to_thread(self, nodes, **kwargs)

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._encode([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._encode([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._encode(texts, "document")

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    def _get_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        return self._encode([load_image(img_file_path, self.image_policy)], "document")[0]

    async def _aget_image_embedding(self, img_file_path: ImageSource) -> Embedding:
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)

    def _embed_with_events(self, items: Sequence[Query | Image.Image], role: Role) -> list[Embedding]:
        payload = self.to_payload()
        dispatcher.event(EmbeddingStartEvent(model_dict=payload))
        with self.callback_manager.event(CBEventType.EMBEDDING, payload={EventPayload.SERIALIZED: payload}) as event:
            embeddings = self._embed_with_cache(items, role)
            chunks = [_describe_item(item) for item in items]
            event.on_end(payload={EventPayload.CHUNKS: chunks, EventPayload.EMBEDDINGS: embeddings})
            dispatcher.event(EmbeddingEndEvent(chunks=chunks, embeddings=embeddings))
        return embeddings

    def _embed_with_cache(self, items: Sequence[Query | Image.Image], role: Role) -> list[Embedding]:
        cache = self.embeddings_cache
        if cache is None:
            return self._encode([self._load(item) if isinstance(item, Query) else item for item in items], role)
        loaded = [self._load(as_query(item)) for item in items]
        keys = [_cache_key(query, self.model_name, role) for query in loaded]
        cached = {key: cache.get(key, collection="embeddings") for key in keys}
        missing = {key: query for key, query in zip(keys, loaded, strict=True) if not cached[key]}
        for key, vector in zip(missing, self._encode(list(missing.values()), role), strict=True):
            cached[key] = {str(uuid.uuid4()): vector}
            cache.put(key, cached[key], collection="embeddings")
        return [next(iter(cached[key].values())) for key in keys]

    def _load(self, query: Query) -> Query:
        return query if query.image is None else Query(query.text, load_image(query.image, self.image_policy))

    def _encode(self, items: Sequence[Query | str | Image.Image], role: Role) -> list[Embedding]:
        if not items:
            return []
        if self.rate_limiter is not None:
            self.rate_limiter.acquire()
        encoder = self._model
        check_kinds(encoder.info, items)
        return encoder.encode(items, role=role, batch_size=self.embed_batch_size).tolist()

    @property
    def _model(self) -> Encoder:
        if self.encoder is not None:
            return self.encoder
        with self._loading:
            if self._loaded is None:
                from mmrag.embedding import load_encoder

                self._loaded = load_encoder(self.model_name, device=self.device, dtype=self.dtype)
            return self._loaded

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()  # of the settings; the weights are shared

    def __getstate__(self) -> dict[Any, Any]:
        # Without the loaded weights: a spawned process loads its own. LlamaIndex's version tries to pickle them.
        return {**BaseModel.__getstate__(self), "__pydantic_private__": None}


class _UncachedSettings(dict[str, Any]):
    """Settings with a unique string: a pipeline that caches by it and by the texts would return nodes of another run.

    Images often have no text, or keep their path when they change.
    """

    def __str__(self) -> str:
        return f"{super().__str__()} {uuid.uuid4()}"


def _as_item(image: ImageSource) -> Query | Image.Image:
    """Wrap an image that is to be loaded; a PIL image without a file is decoded, and checked by the encoder."""
    return image if type(image) is Image.Image else Query(image=image)


def _describe_item(item: Query | Image.Image) -> str:
    text, image = (item.text, item.image) if isinstance(item, Query) else ("", item)
    return text if image is None else f"{text} [{describe_source(image)}]".strip()


def _cache_key(query: Query, model: str, role: Role) -> str:
    image = content_hash(query.image) if isinstance(query.image, Image.Image) else ""
    return f"composed:{model}:{role}:{image}:{query.text}"
