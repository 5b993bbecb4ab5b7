"""One search, for whichever agent asks. In: a model's arguments. Out: facts as JSON, and images.

The LlamaIndex tools and the MCP server both answer through here.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.bridge.pydantic import BaseModel, ValidationError
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import BaseNode, ImageNode, NodeWithScore, QueryBundle
from llama_index.indices.composed_image import ComposedImageRetriever, ImageVectorStore, metadata_filters
from llama_index.indices.composed_image.indexing import open_manifest
from PIL import Image

from mmrag.agent_tool.image_resolver import References, shrunk
from mmrag.agent_tool.schema import (
    MOST,
    DescribeImage,
    FoundImage,
    FoundImages,
    ImageFacts,
    Refusal,
    SearchImages,
    facts_of,
    search_images,
    shortened,
)
from mmrag.errors import ImageError, MMRagError, QueryError, SettingError
from mmrag.images import ImagePolicy, ImageSource
from mmrag.images.redact import redact_url
from mmrag.query import Query
from mmrag.rerank.composite import compose
from mmrag.results import RankedImage, RankedImages

__all__ = ["Answer", "ImageSearch"]

CELL = 192  # pixels: with the most results, the sheet is as large as models look at

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Answer:
    """What an agent is told and shown.

    Attributes
    ----------
    facts
        The results, the facts of one image, or why nothing was done.
    images
        Of the results, in their order; None where an image cannot be read.
    query
        What was searched for, as it was understood.
    """

    facts: FoundImages | ImageFacts | Refusal
    images: tuple[Image.Image | None, ...] = ()
    query: Query | None = None

    @property
    def refused(self) -> bool:
        """Whether nothing was done."""
        return isinstance(self.facts, Refusal)

    @property
    def text(self) -> str:
        """The facts as compact JSON."""
        return self.facts.model_dump_json(exclude_defaults=True)

    @property
    def sheet(self) -> Image.Image | None:
        """All images on one, the query first; a single image as it is."""
        if self.query is None:
            return self.images[0] if self.images else None
        if not self.images:
            return None
        example = self.query.image if isinstance(self.query.image, Image.Image) else None
        columns = min(5, 1 + len(self.images))
        return compose(example, self.images, cell=CELL, columns=columns, query_text=self.query.text)


@dataclass(frozen=True)
class _Question:
    query: Query
    retriever: ComposedImageRetriever
    top_n: int

    @property
    def bundle(self) -> QueryBundle:
        """The question for the engine: words that are no Markdown, and pixels instead of a path."""
        if isinstance(self.query.image, Image.Image):
            return QueryBundle(self.query.text, image_path=_data_uri(self.query.image))
        return QueryBundle(str(self.query))

    @property
    def nothing_found(self) -> str:
        """What a model can do about an empty answer."""
        if self.retriever.filters is not None:
            return "nothing found: loosen the filters"
        return "nothing found: no image is indexed yet"


class ImageSearch:
    """The search behind an engine, open to what a model writes.

    Parameters
    ----------
    engine
        Retrieves, and perhaps reranks; its synthesizer is not asked.
    policy
        Which files and hosts a model may name, and how large an image may be. No file but the
        indexed ones where its roots are None.

    Raises
    ------
    SettingError
        When the engine does not search images.
    """

    def __init__(self, engine: BaseQueryEngine, policy: ImagePolicy | None = None) -> None:
        retriever = engine.retriever if isinstance(engine, RetrieverQueryEngine) else None
        if not isinstance(retriever, ComposedImageRetriever):
            raise SettingError(
                f"{type(engine).__name__} searches no images: give an engine of ComposedImageIndex.as_query_engine()"
            )
        self._engine, self._retriever = cast("RetrieverQueryEngine", engine), retriever
        self._store = cast("ImageVectorStore", retriever._vector_store)
        self.references = References(self._store, self._is_indexed, policy or ImagePolicy(roots=()))

    def asks(self, also: str = "") -> type[SearchImages]:
        """Describe a search of this collection; ``also`` names further ways to give an image."""
        return search_images(f"{also}{self.references.ways}", self._store.columns)

    def search(self, asked: Mapping[str, Any], last: ImageSource | None = None) -> Answer:
        """Answer `SearchImages`; ``last`` is the image that the user sent last."""
        try:
            question = self._question(asked, last)
            return self._found(question, self._narrowed(question).retrieve(question.bundle))
        except MMRagError as error:
            return self._refusal(error)

    async def asearch(self, asked: Mapping[str, Any], last: ImageSource | None = None) -> Answer:
        """Answer `SearchImages`, without blocking the event loop."""
        try:
            question = await asyncio.to_thread(self._question, asked, last)
            bundle = await asyncio.to_thread(lambda: question.bundle)
            nodes = await self._narrowed(question).aretrieve(bundle)
            return await asyncio.to_thread(self._found, question, nodes)
        except MMRagError as error:
            return self._refusal(error)

    def describe(self, asked: Mapping[str, Any]) -> Answer:
        """Answer `DescribeImage`."""
        try:
            return self._described(_checked(DescribeImage, asked).id)
        except MMRagError as error:
            return self._refusal(error)

    async def adescribe(self, asked: Mapping[str, Any]) -> Answer:
        """Answer `DescribeImage`, without blocking the event loop."""
        return await asyncio.to_thread(self.describe, asked)

    def _question(self, asked: Mapping[str, Any], last: ImageSource | None) -> _Question:
        wish = _checked(SearchImages, asked)
        # an image in the text is as confined as one beside it
        query = Query(wish.text, wish.image) if wish.image else Query.parse(wish.text)
        if query.image is not None:
            query = Query(query.text, self.references.open(str(query.image), last))
        filters = metadata_filters(wish.filters) if wish.filters else None
        top_n = wish.top_n or min(self._retriever.similarity_top_k, MOST)
        return _Question(query, self._retriever.with_filters(filters, top_n), top_n)

    def _narrowed(self, question: _Question) -> RetrieverQueryEngine:
        return self._engine.with_retriever(question.retriever)

    def _found(self, question: _Question, nodes: list[NodeWithScore]) -> Answer:
        nodes = nodes[: question.top_n]
        results = [FoundImage.of(image) for image in RankedImages.from_nodes(nodes).results]
        images = tuple(self._image(found.node) for found in nodes)
        facts = FoundImages(results=results, note="" if results else question.nothing_found)
        return Answer(facts, images, question.query)

    def _described(self, id: str) -> Answer:
        node = self.references.node(id)
        if node is None:
            raise QueryError(f"no image has the id {id!r}: give the id of a result, as it stands")
        item = RankedImage.from_node(node, rank=1, score=None)
        facts = ImageFacts(
            id=shortened(item.id), title=item.title, path=redact_url(item.path), metadata=facts_of(item.metadata)
        )
        try:
            image = self.references.image(node)
        except ImageError as error:
            return Answer(facts.model_copy(update={"note": f"no image to look at: {error}"}))
        size = {"width": image.width, "height": image.height}
        return Answer(facts.model_copy(update=size), (shrunk(image),))

    def _image(self, node: BaseNode) -> Image.Image | None:
        if not isinstance(node, ImageNode):
            return None
        try:
            return self.references.image(node)
        except ImageError:
            return None

    def _is_indexed(self, path: str) -> bool:
        with open_manifest(self._store, self._retriever._embed_model) as manifest:
            return manifest.get(path) is not None

    def _refusal(self, error: MMRagError) -> Answer:
        instead = f". Instead, give {self.references.ways}" if isinstance(error, ImageError) else ""
        return Answer(Refusal(error=f"{error}{instead}"))


def _checked(schema: type[T], asked: Mapping[str, Any]) -> T:
    try:
        # models write null for what they leave out
        return schema.model_validate({k: v for k, v in asked.items() if v is not None})
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
        raise QueryError(f"{'; '.join(faults)}. Correct it, and call again") from error


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
