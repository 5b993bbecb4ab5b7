"""Image files built by hand, with headers that no encoder writes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

SIZE = (40, 30)


def sample_image(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A gradient without two equal pixels, so that rotations and crops show."""
    width, height = size
    bands = [Image.linear_gradient("L").resize(size)]
    bands += [bands[0].rotate(180), Image.radial_gradient("L").resize(size)]
    assert bands[0].size == (width, height)
    return Image.merge("RGB", bands).convert(mode)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png(width: int, height: int, *, depth: int = 8, color: int = 0, pixels: bytes = b"",
        extra: bytes = b"", interlaced: bool = False) -> bytes:  # fmt: skip
    """A PNG built by hand, with headers that no encoder writes."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(*tags: tuple[int, int, int, int], more: int = 0, rest: bytes = b"\0" * 1000) -> bytes:
    """A gray TIFF of 8×8 pixels; ``tags`` (number, type, count, value) replace or join its own."""
    own = {
        256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, 400), 277: (3, 1, 1), 278: (4, 1, 8), 279: (4, 1, 64),
    }  # fmt: skip
    entries = sorted((own | {number: entry for number, *entry in tags}).items())
    body = b"".join(struct.pack("<HHII", number, *entry) for number, entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries) + more) + body + b"\0" * 4 + rest
