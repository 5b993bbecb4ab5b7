"""Image search for agents: a model's arguments to results as JSON and images."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore
from llama_index.indices.composed_image import ComposedImageRetriever, ImageVectorStore, metadata_filters
from llama_index.indices.composed_image.indexing import open_manifest
from PIL import Image
from pydantic import BaseModel, ValidationError

from mmrag.agent_tool.image_resolver import ImageResolver, find_image_node, resize_to_fit
from mmrag.agent_tool.schema import (
    MAX_RESULTS,
    DescribeImageInput,
    ImageDetails,
    SearchImagesInput,
    SearchImagesOutput,
    ToolError,
    describe_errors,
    scalar_metadata,
    search_images_input,
)
from mmrag.errors import ImageError, MMRagError, QueryError, SettingError
from mmrag.images import ImagePolicy, ImageSource
from mmrag.query import Query
from mmrag.rerank.composite import compose
from mmrag.results import RankedImage, RankedImages

__all__ = ["ImageSearch", "ToolResponse"]

CELL = 192  # pixels: with the most results, the sheet is as large as models look at
CONTENT_HASH = re.compile("[0-9a-f]{64}")
TITLE_KEYS = ("title", "file_name")

T = TypeVar("T", bound=BaseModel)
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class ToolResponse:
    """What a call returns to the agent: the output, its images (None where one cannot be read), the loaded query."""

    output: SearchImagesOutput | ImageDetails | ToolError
    images: tuple[Image.Image | None, ...] = ()
    query: Query | None = None

    @property
    def is_error(self) -> bool:
        """Whether the call failed."""
        return isinstance(self.output, ToolError)

    @property
    def text(self) -> str:
        """The output as compact JSON."""
        return self.output.model_dump_json(exclude_defaults=True)

    @property
    def contact_sheet(self) -> Image.Image | None:
        """All images as one, the query first; the image of `ImageSearch.describe` as it is."""
        if self.query is None or not self.images:
            return self.images[0] if self.images else None
        example = self.query.image if isinstance(self.query.image, Image.Image) else None
        columns = min(5, 1 + len(self.images))
        return compose(example, self.images, cell=CELL, columns=columns, query_text=self.query.text)


class ImageSearch:
    """The search of a query engine, with arguments written by a model; errors become responses.

    The engine is one of `ComposedImageIndex.as_query_engine`; its synthesizer is not used. Without a policy,
    a model can name no file but the indexed ones.
    """

    def __init__(self, engine: BaseQueryEngine, policy: ImagePolicy | None = None) -> None:
        if not isinstance(engine, RetrieverQueryEngine) or not isinstance(engine.retriever, ComposedImageRetriever):
            raise SettingError(
                f"{type(engine).__name__} searches no images: give an engine of ComposedImageIndex.as_query_engine()"
            )
        self._engine, self._retriever = engine, engine.retriever
        self._store = cast("ImageVectorStore", self._retriever._vector_store)  # pyright: ignore[reportPrivateUsage]
        self.resolver = ImageResolver(self._store, self._is_indexed, policy or ImagePolicy(roots=()))

    def input_schema(self, more_forms: str = "") -> type[SearchImagesInput]:
        """Describe the arguments of `search`; ``more_forms`` are further forms of an image reference."""
        return search_images_input(f"{more_forms}{self.resolver.accepted_forms}", self._store.columns)

    def search(self, arguments: Arguments, last_image: ImageSource | None = None) -> ToolResponse:
        """Search by the arguments of `SearchImagesInput`; ``last_image`` is the user's most recent image."""
        try:
            query, retriever, top_n = self._parse(arguments, last_image)
            nodes = self._engine.with_retriever(retriever).retrieve(retriever.prepare_query(query))
            return self._respond(query, retriever, nodes[:top_n])
        except MMRagError as error:
            return self._failed(error)

    async def asearch(self, arguments: Arguments, last_image: ImageSource | None = None) -> ToolResponse:
        """Asynchronous version of `search`."""
        try:
            query, retriever, top_n = await asyncio.to_thread(self._parse, arguments, last_image)
            bundle = await retriever.aprepare_query(query)
            nodes = await self._engine.with_retriever(retriever).aretrieve(bundle)
            return await asyncio.to_thread(self._respond, query, retriever, nodes[:top_n])
        except MMRagError as error:
            return self._failed(error)

    def describe(self, arguments: Arguments) -> ToolResponse:
        """Look up one image by the arguments of `DescribeImageInput`."""
        try:
            id = _validate(DescribeImageInput, arguments).id
            node = find_image_node(self._store, id)
        except MMRagError as error:
            return self._failed(error)
        if node is None:
            return self._failed(QueryError(f"no image has the id {id!r}: give the id of a result, as it stands"))
        found = RankedImage.from_node(node, rank=1, score=None)
        short = _abbreviate(found)
        details = ImageDetails(id=short.id, title=short.title, path=short.path, metadata=short.metadata)
        try:
            image = self.resolver.load(found.path)
        except ImageError as error:
            details.note = f"no image to look at: {error}"
            return ToolResponse(details)
        details.width, details.height = image.size
        return ToolResponse(details, (resize_to_fit(image),))

    async def adescribe(self, arguments: Arguments) -> ToolResponse:
        """Asynchronous version of `describe`."""
        return await asyncio.to_thread(self.describe, arguments)

    def _parse(self, arguments: Arguments, last_image: ImageSource | None) -> tuple[Query, ComposedImageRetriever, int]:
        given = _validate(SearchImagesInput, arguments)
        # an image in the text is as confined as one beside it
        query = Query(given.text, given.image) if given.image else Query.parse(given.text)
        if query.image is not None:
            query = Query(query.text, self.resolver.resolve(str(query.image), last_image))
        filters = metadata_filters(given.filters) if given.filters else None
        top_n = given.top_n or min(self._retriever.similarity_top_k, MAX_RESULTS)
        return query, self._retriever.with_filters(filters, top_n), top_n

    def _respond(self, query: Query, retriever: ComposedImageRetriever, nodes: Sequence[NodeWithScore]) -> ToolResponse:
        found = RankedImages.from_nodes(nodes)
        empty = "loosen the filters" if retriever.filters is not None else "no image is indexed yet"
        note = "" if found.results else f"nothing found: {empty}"
        results = [_abbreviate(image) for image in found.results]
        output = SearchImagesOutput(results=results, stage=found.stage, degraded=found.degraded, note=note)
        return ToolResponse(output, tuple(self._load(image) for image in found.results), query)

    def _load(self, image: RankedImage) -> Image.Image | None:
        try:
            return self.resolver.load(image.path) if image.path else None
        except ImageError:
            return None

    def _is_indexed(self, path: str) -> bool:
        embed_model = self._retriever._embed_model  # pyright: ignore[reportPrivateUsage]
        with open_manifest(self._store, embed_model) as manifest:
            return manifest.get(path) is not None

    def _failed(self, error: MMRagError) -> ToolResponse:
        instead = f". Instead, give {self.resolver.accepted_forms}" if isinstance(error, ImageError) else ""
        return ToolResponse(ToolError(error=f"{error}{instead}"))


def _abbreviate(image: RankedImage) -> RankedImage:
    """Shorten ids and scores; leave out credentials, and metadata that is no scalar or stands elsewhere."""
    metadata = {key: scalar for key, scalar in scalar_metadata(image.metadata).items() if key not in TITLE_KEYS}
    return image.model_copy(
        update={
            "id": image.id[:12] if CONTENT_HASH.fullmatch(image.id) else image.id,  # so that a model can copy it
            "path": image.display_path,
            "score": round(image.score, 3) + 0.0,  # never -0.0
            "rerank_score": None if image.rerank_score is None else round(image.rerank_score, 3),
            "metadata": metadata,
        }
    )


def _validate(schema: type[T], arguments: Arguments) -> T:
    try:
        # models write null for what they leave out
        return schema.model_validate({name: value for name, value in arguments.items() if value is not None})
    except ValidationError as error:
        raise QueryError(f"{describe_errors(error.errors())}. Correct it, and call again") from error
