"""What the reranker looks at. In: a node, a bundle. Out: an image or words as one, a query."""

from __future__ import annotations

from llama_index.core.schema import BaseNode, QueryBundle
from llama_index.embeddings.composed_image.image_sources import node_image

from mmrag.errors import QueryError
from mmrag.images import ImageSource
from mmrag.query import Query
from mmrag.rerank.composite import text_image

__all__ = ["query_of", "shown"]


def shown(node: BaseNode) -> ImageSource | None:
    """Take a node's image; a node of words alone is drawn as its words, an empty one is None."""
    if (image := node_image(node)) is not None:
        return image
    text = node.get_content().strip()
    return text_image(text) if text else None


def query_of(bundle: QueryBundle | None) -> Query:
    """Read what is wanted: the bundle's image, else the Markdown image in its string.

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
