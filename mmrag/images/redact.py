"""Short names for image sources, URLs and errors, safe to print in messages and logs."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from PIL import Image

__all__ = ["describe_error", "describe_source", "redact_url", "url_scheme"]

_MAX_LENGTH = 200


def describe_source(source: object) -> str:
    """Describe an image source in at most 201 characters on one line, without its bytes, password or URL query.

    >>> describe_source("data:image/png;base64,iVBORw0KGgo="), describe_source(b"GIF89a")
    ('data URI (34 characters)', 'bytes (6)')
    """
    if isinstance(source, (bytes, bytearray)):
        return f"bytes ({len(source)})"
    if isinstance(source, Image.Image):
        return f"PIL image ({source.mode}, {source.width}×{source.height})"
    if not isinstance(source, (str, os.PathLike)):
        return f"{type(source).__name__} object"
    text = f"{source}"
    scheme = url_scheme(text) if isinstance(source, str) else ""
    if scheme == "data":
        return f"data URI ({len(text)} characters)"
    return _shorten(redact_url(text) if scheme else repr(text))


def describe_error(error: BaseException) -> str:
    """Describe an error in at most 201 printable characters on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _shorten("".join(letter if letter.isprintable() else "?" for letter in text))


def redact_url(address: str) -> str:
    """Remove user, password, query and fragment from a URL; a path is returned unchanged.

    >>> redact_url("https://me:secret@shop.example/a.jpg?token=secret")
    'https://shop.example/a.jpg'
    """
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return f"{url_scheme(address)} URL"
    host = parts.netloc.rpartition("@")[2]
    return repr(f"{parts.scheme}://{host}{parts.path}")[1:-1]


def url_scheme(source: str) -> str:
    """Return ``"data"`` or the scheme before ``://`` in lower case; empty for a path.

    >>> url_scheme("HTTPS://shop.example/a.jpg"), url_scheme("data:,x"), url_scheme("a: b.jpg")
    ('https', 'data', '')
    """
    match = re.match(r"data(?=:)|[a-z][a-z0-9+.-]+(?=://)", source, flags=re.IGNORECASE)
    return match[0].lower() if match else ""


def _shorten(text: str) -> str:
    half = _MAX_LENGTH // 2
    return text if len(text) <= _MAX_LENGTH else f"{text[:half]}…{text[-half:]}"
