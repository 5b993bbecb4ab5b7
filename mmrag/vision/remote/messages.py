"""Chat messages with images, in OpenAI's form."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmrag.vision.base import Message, place_images

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["image_content_part", "insert_images"]


def image_content_part(image: PIL.Image.Image) -> dict[str, Any]:
    """Encode an image as a content part with a JPEG data URL."""
    buffer = io.BytesIO()
    # Full chroma keeps the numbers on a composite sharp.
    image.convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


def insert_images(messages: Sequence[Message], images: Sequence[PIL.Image.Image]) -> list[dict[str, Any]]:
    """Replace the ``{"type": "image"}`` parts by images, see `mmrag.vision.base.place_images`."""
    image_parts = map(image_content_part, images)
    return [
        {"role": role, "content": [next(image_parts) if part.get("type") == "image" else part for part in parts]}
        for role, parts in place_images(messages, len(images))
    ]
