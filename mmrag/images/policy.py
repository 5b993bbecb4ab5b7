"""What an image may be read from, and the policy that limits it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image

from mmrag.errors import ImageError
from mmrag.images.redact import describe_source

__all__ = ["BytesSource", "ImagePolicy", "ImageSource"]

BytesSource = str | os.PathLike[str] | bytes | bytearray | IO[bytes]
ImageSource = BytesSource | Image.Image


@dataclass(frozen=True)
class ImagePolicy:
    """Which images `load_image` may read, and how large they may be.

    Attributes
    ----------
    roots : collection of path, optional
        Folders that local files must lie in, symbolic links resolved. Default: any path.
    hosts : collection of str
        Host names that URLs may name. Default: none. A host name must resolve to public addresses only; to allow
        a private one, name the address itself, for instance ``"127.0.0.1"``.
    max_bytes : int
        Largest encoded image, in bytes. Default: 20 MB.
    max_pixels : int
        Largest image, in pixels; checked in the header, before decoding. Default: 50 million. Pillow itself
        refuses more than 178,956,970.
    timeout : float
        Seconds allowed per URL, redirects included. Default: 10.

    Examples
    --------
    >>> ImagePolicy(hosts=["Images.example"]).hosts
    frozenset({'images.example'})
    """

    roots: Collection[str | os.PathLike[str]] | None = None
    hosts: Collection[str] = frozenset()
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    timeout: float = 10.0

    def __post_init__(self) -> None:
        # A bare string is a collection of letters: "a" would become an allowed host.
        for name, value in (("roots", self.roots), ("hosts", self.hosts)):
            if isinstance(value, str):
                raise ImageError(f"{name}={value!r} is one string: give a list, {name}=[{value!r}]")
        object.__setattr__(self, "hosts", frozenset(host.lower() for host in self.hosts))
        if self.roots is not None:
            object.__setattr__(self, "roots", tuple(Path(root).resolve() for root in self.roots))

    def too_large(self, source: object, size: str) -> ImageError:
        """Build the error for an encoded image of ``size`` bytes."""
        return ImageError(
            f"{describe_source(source)} has {size} bytes, the limit is {self.max_bytes:,}: "
            "save it smaller, or raise ImagePolicy.max_bytes"
        )
