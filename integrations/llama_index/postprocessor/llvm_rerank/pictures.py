"""What the reranker looks at. In: a node, a bundle. Out: a picture or words as one, a query."""

from __future__ import annotations

from llama_index.core.schema import BaseNode, QueryBundle
from llama_index.embeddings.visualized_bge.image_sources import picture_of

from mmrag.errors import QueryError
from mmrag.images import ImageSource
from mmrag.query import Query
from mmrag.rerank.composite import text_picture

__all__ = ["query_of", "shown"]


def shown(node: BaseNode) -> ImageSource | None:
    """Take a node's picture; a node of words alone is drawn as its words, an empty one is None."""
    if (picture := picture_of(node)) is not None:
        return picture
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
