"""Query bundle with its decoded image."""

from __future__ import annotations

from dataclasses import dataclass, field

from dataclasses_json import config
from llama_index.core.schema import QueryBundle
from PIL import Image

__all__ = ["ImageQueryBundle"]


@dataclass
class ImageQueryBundle(QueryBundle):
    """A `QueryBundle` that carries its image, so that it is read, checked and decoded once.

    Attributes
    ----------
    image : PIL.Image.Image, optional
        The decoded image; `image_path` keeps where it came from, if it has a path.
    """

    image: Image.Image | None = field(default=None, repr=False, compare=False, metadata=config(exclude=lambda _: True))
