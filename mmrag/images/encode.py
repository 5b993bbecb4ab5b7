"""Thumbnails, data URIs and HTML tags of images."""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image, ImageDraw, ImageFont, ImageOps

from mmrag.errors import ImageError
from mmrag.images.load import load_image
from mmrag.images.policy import ImagePolicy, ImageSource

__all__ = ["data_uri", "img_tag", "thumbnail"]

_WHITE = (255, 255, 255)


def thumbnail(source: ImageSource, side: int, policy: ImagePolicy | None = None) -> Image.Image:
    """Fit an image into a white square of ``side`` pixels; an image that cannot be loaded reads "missing"."""
    try:
        image = load_image(source, policy or ImagePolicy())
    except ImageError:
        square = Image.new("RGB", (side, side), (238, 238, 238))
        font = ImageFont.load_default(max(8, side // 10))
        ImageDraw.Draw(square).text((side / 2, side / 2), "missing", (128, 128, 128), font, anchor="mm")
        return square
    # Most are opaque, which halves the cost of resizing.
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    return ImageOps.pad(image.convert("RGB"), (side, side), color=_WHITE)


def data_uri(image: Image.Image, quality: int = 82) -> str:
    """Encode an image as a JPEG `data:` URI."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def img_tag(image: Image.Image, alt: str) -> str:
    """Build an HTML ``<img>`` tag that holds the image itself."""
    return f'<img alt="{escape(alt)}" style="max-width: 100%" src="{data_uri(image)}">'
