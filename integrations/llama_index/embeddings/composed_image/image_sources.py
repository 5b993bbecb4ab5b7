"""Image sources of LlamaIndex nodes and message blocks."""

from __future__ import annotations

import base64

from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.schema import BaseNode, ImageNode, MediaResource

from mmrag.errors import EncodeError
from mmrag.images import ImageSource

__all__ = ["block_image", "embeddable_image", "node_image", "node_image_path"]


def node_image(node: BaseNode) -> ImageSource | None:
    """Return a node's own image as a ``data:`` URI, else its path or URL, else None."""
    data = _base64_of(node)
    return f"data:image;base64,{data}" if data else node_image_path(node) or None


def embeddable_image(node: BaseNode) -> ImageSource | None:
    """Return a node's own image as bytes (`EncodeError` if it is no base64), else its path or URL, else None."""
    data = _base64_of(node)
    if not data:
        return node_image_path(node) or None
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise EncodeError(f"node {node.node_id}: its `image` is no base64. Set image_path instead") from error


def node_image_path(node: BaseNode) -> str:
    """Return the path or URL of a node's image; empty if it has none."""
    if isinstance(node, ImageNode):
        return node.image_path or node.image_url or ""
    resource = _image_resource(node)
    return str(resource.path or resource.url or "") if resource else ""


def block_image(block: ImageBlock) -> ImageSource | None:
    """Return the image of a message block, whose bytes are base64."""
    if isinstance(block.image, bytes):
        return base64.b64decode(block.image)
    path = block.path or (str(block.url) if block.url else None)
    return block.image or path  # pyright: ignore[reportReturnType]  # its IOBase is a binary file


def _base64_of(node: BaseNode) -> str | None:
    if isinstance(node, ImageNode):
        return node.image
    resource = _image_resource(node)
    return resource.data.decode(errors="replace") if resource and resource.data else None


def _image_resource(node: BaseNode) -> MediaResource | None:
    resource = getattr(node, "image_resource", None)
    return resource if isinstance(resource, MediaResource) else None
