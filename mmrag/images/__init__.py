"""Safe loading of images from any source."""

from __future__ import annotations

from mmrag.images.decode import content_hash
from mmrag.images.load import load_image, read_bytes
from mmrag.images.policy import ImagePolicy, ImageSource

__all__ = ["ImagePolicy", "ImageSource", "content_hash", "load_image", "read_bytes"]
