"""A query with an image, and plain candidates that differ in brightness."""

from __future__ import annotations

from PIL import Image

from mmrag.query import Query

LEOPARD = Image.new("RGB", (30, 20), "orange")
BAG = Query("a bag with this", LEOPARD)


def gray_image(value: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (value, value, value))
