"""Where LlamaIndex keeps images. In: a node, or a message's block. Out: an image's source."""

from __future__ import annotations

import base64

from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.schema import BaseNode, ImageNode, MediaResource

from mmrag.errors import EncodeError
from mmrag.images import ImageSource

__all__ = ["address_of", "embeddable", "image_in", "image_of"]


def image_of(node: BaseNode) -> ImageSource | None:
    """Find a node's image where LlamaIndex looks for it: in the node, at a path, at a URL."""
    data = _data_of(node)
    return f"data:image;base64,{data}" if data else address_of(node) or None


def embeddable(node: BaseNode) -> ImageSource | None:
    """Find a node's image, and name the node when it keeps something else there.

    Raises
    ------
    EncodeError
        When the node's own data is no base64.
    """
    data = _data_of(node)
    if not data:
        return address_of(node) or None
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise EncodeError(f"node {node.node_id}: its `image` is no base64. Set image_path instead") from error


def address_of(node: BaseNode) -> str:
    """Tell the path of a node's image, or its URL; empty when it has none."""
    if isinstance(node, ImageNode):
        return node.image_path or node.image_url or ""
    resource = _resource_of(node)
    return str(resource.path or resource.url or "") if resource else ""


def image_in(block: ImageBlock) -> ImageSource | None:
    """Find the image of a message's block, which keeps bytes as base64."""
    if isinstance(block.image, bytes):
        return base64.b64decode(block.image)
    place = block.path or (str(block.url) if block.url else None)
    return block.image or place  # pyright: ignore[reportReturnType]  # its IOBase is a binary file


def _data_of(node: BaseNode) -> str | None:
    if isinstance(node, ImageNode):
        return node.image
    resource = _resource_of(node)
    return resource.data.decode(errors="replace") if resource and resource.data else None


def _resource_of(node: BaseNode) -> MediaResource | None:
    resource = getattr(node, "image_resource", None)
    return resource if isinstance(resource, MediaResource) else None
