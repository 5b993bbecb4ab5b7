"""What a node looks like. In: a node. Out: a picture's source, or a picture of its text."""

from __future__ import annotations

from llama_index.core.schema import BaseNode, ImageNode, MediaResource, QueryBundle

from mmrag.errors import QueryError
from mmrag.images import ImageSource
from mmrag.query import Query
from mmrag.rerank.composite import text_picture

__all__ = ["picture_of", "query_of"]


def picture_of(node: BaseNode) -> ImageSource | None:
    """Find a node's picture; a node of words alone is drawn as its words, an empty one is None."""
    if isinstance(node, ImageNode):
        found = _source(node.image, node.image_path, node.image_url)
    else:
        resource = getattr(node, "image_resource", None)
        found = _of_resource(resource) if isinstance(resource, MediaResource) else None
    if found is not None:
        return found
    text = node.get_content().strip()
    return text_picture(text) if text else None


def query_of(bundle: QueryBundle | None) -> Query:
    """Read what is wanted: the bundle's picture, else the Markdown picture in its string.

    Raises
    ------
    QueryError
        When there is nothing to rank for.
    """
    if bundle is None:
        raise QueryError("LLVMRerank ranks for a query: pass query_bundle or query_str")
    if bundle.image_path:
        return Query(bundle.query_str, bundle.image_path)
    return Query.parse(bundle.query_str)


def _of_resource(resource: MediaResource) -> ImageSource | None:
    url = str(resource.url) if resource.url else None
    path = str(resource.path) if resource.path else None
    return _source(resource.data.decode(errors="replace") if resource.data else None, path, url)


def _source(data: str | None, path: str | None, url: str | None) -> ImageSource | None:
    return f"data:image;base64,{data}" if data else path or url
