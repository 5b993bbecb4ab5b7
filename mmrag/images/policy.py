"""What may be read: the nouns of `mmrag.images`, and how a source is named in a message."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from PIL import Image

from mmrag.errors import ImageError

__all__ = ["EncodedSource", "ImagePolicy", "ImageSource", "named", "reason", "scheme_of", "without_secrets"]

EncodedSource = str | os.PathLike[str] | bytes | bytearray | IO[bytes]
ImageSource = EncodedSource | Image.Image

_LONGEST_NAME = 200


@dataclass(frozen=True)
class ImagePolicy:
    """Which images `load_image` may read, and how large they may be.

    Attributes
    ----------
    roots
        Folders that local files must lie in, symbolic links followed; None allows any path.
    hosts
        Host names that URLs may name. A named host must resolve to public addresses; to allow a
        private one, name the address itself, for instance ``"127.0.0.1"``.
    max_bytes
        Largest encoded image, in bytes.
    max_pixels
        Largest image, in pixels; read from the header, before anything is decoded. Above
        178,956,970 pixels, Pillow itself refuses.
    timeout
        Seconds that one URL may take.

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

    def within_limit(self, data: bytes, source: object) -> bytes:
        """Hand the bytes on, unless there are more than `max_bytes`."""
        if len(data) > self.max_bytes:
            raise self.too_large(source, f"more than {self.max_bytes:,}")
        return data

    def too_large(self, source: object, size: str) -> ImageError:
        """Word the refusal of an image of ``size`` bytes."""
        return ImageError(
            f"{named(source)} has {size} bytes, the limit is {self.max_bytes:,}: "
            "save it smaller, or raise ImagePolicy.max_bytes"
        )


def scheme_of(source: str) -> str:
    """Tell ``"data"``, or the scheme before ``://``, in lower case; a path has none.

    Examples
    --------
    >>> scheme_of("HTTPS://shop.example/a.jpg"), scheme_of("data:,x"), scheme_of("a: b.jpg")
    ('https', 'data', '')
    """
    match = re.match(r"data(?=:)|[a-z][a-z0-9+.-]+(?=://)", source, flags=re.IGNORECASE)
    return match[0].lower() if match else ""


def named(source: object) -> str:
    """Name a source in a message: short, on one line, without its bytes, password or query.

    Examples
    --------
    >>> named("data:image/png;base64,iVBORw0KGgo="), named(b"GIF89a")
    ('data URI (34 characters)', 'bytes (6)')
    >>> named("https://me:secret@shop.example/a.jpg?token=secret")
    'https://shop.example/a.jpg'
    """
    if isinstance(source, (bytes, bytearray)):
        return f"bytes ({len(source)})"
    if isinstance(source, Image.Image):
        return f"PIL image ({source.mode}, {source.width}×{source.height})"
    if not isinstance(source, (str, os.PathLike)):
        return f"{type(source).__name__} object"
    text = f"{source}"
    scheme = scheme_of(text) if isinstance(source, str) else ""
    if scheme == "data":
        return f"data URI ({len(text)} characters)"
    return _shortened(without_secrets(text) if scheme else repr(text))


def reason(error: BaseException) -> str:
    """Say why something failed: short, on one line, no control characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _shortened("".join(letter if letter.isprintable() else "?" for letter in text))


def without_secrets(address: str) -> str:
    """Take password and query out of a URL; a path stays as it is.

    Examples
    --------
    >>> without_secrets("https://me:secret@shop.example/a.jpg?token=secret")
    'https://shop.example/a.jpg'
    >>> without_secrets("photos/a?.jpg")
    'photos/a?.jpg'
    """
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return f"{scheme_of(address)} URL"
    place = parts.netloc.rpartition("@")[2]
    return repr(f"{parts.scheme}://{place}{parts.path}")[1:-1]


def _shortened(text: str) -> str:
    half = _LONGEST_NAME // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"
