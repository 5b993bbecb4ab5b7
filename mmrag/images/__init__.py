"""Images from any source, safely.

In: a path, URL, data URI, bytes, file or PIL image, and a policy. Out: an upright PIL image.
"""

from __future__ import annotations

from mmrag.images.decode import content_hash
from mmrag.images.load import load_image, read_bytes
from mmrag.images.policy import ImagePolicy, ImageSource

__all__ = ["ImagePolicy", "ImageSource", "content_hash", "load_image", "read_bytes"]
