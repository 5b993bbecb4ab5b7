"""Load an image: its bytes from any source, checked against the policy, then decoded upright."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import IO
from urllib.parse import unquote_to_bytes

from PIL import Image

from mmrag.errors import ImageError
from mmrag.images.decode import decoded, upright
from mmrag.images.fetch import fetch
from mmrag.images.policy import EncodedSource, ImagePolicy, ImageSource, named, reason, scheme_of

__all__ = ["load_image", "read_bytes"]

_ANY_LOCAL_FILE = ImagePolicy()


def load_image(source: ImageSource, policy: ImagePolicy = _ANY_LOCAL_FILE) -> Image.Image:
    """Load an image whole, the right way up, in its own mode; greys of more than 8 bits in mode L.

    Parameters
    ----------
    source
        A path, an ``http(s)`` URL, a ``data:`` URI, bytes, a binary file or a PIL image, holding
        JPEG, PNG, WebP, GIF, BMP or TIFF. Of an animation, the first image.
    policy
        Which files and hosts may be read, and how large an image may be.

    Returns
    -------
    PIL.Image.Image
        A copy that holds no file open; EXIF orientation is applied and gone.

    Raises
    ------
    ImageError
        When the image is refused, missing or damaged: names the source, the limit, the remedy.

    Examples
    --------
    >>> load_image("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAkQBADs=").size
    (1, 1)
    """
    if isinstance(source, Image.Image):
        return upright(source, source, policy)
    data = read_bytes(source, policy)
    if not data:
        raise ImageError(f"{named(source)} is empty (0 bytes): copy or download the image again")
    return upright(decoded(data, source, policy), source, policy)


def read_bytes(source: EncodedSource, policy: ImagePolicy = _ANY_LOCAL_FILE) -> bytes:
    """Read the bytes of an image, whatever they hold; sources and refusals are `load_image`'s."""
    if isinstance(source, str):
        scheme = scheme_of(source)
        if scheme == "data":
            return policy.within_limit(_data_of(source), source)
        return fetch(source, policy) if scheme else _file_bytes(source, policy)
    if isinstance(source, os.PathLike):
        return _file_bytes(source, policy)
    if isinstance(source, (bytes, bytearray)):
        return policy.within_limit(bytes(source), source)
    if hasattr(source, "read"):
        return _stream_bytes(source, policy)
    raise ImageError(
        f"cannot read an image from {named(source)}: give a path, URL, data URI, bytes, binary file or PIL image"
    )


def _data_of(uri: str) -> bytes:
    header, comma, payload = uri.partition(",")
    if not comma:
        raise ImageError(f"{named(uri)} has no comma: write data:image/png;base64,…")
    data = unquote_to_bytes(payload)
    if not header.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ImageError(f"{named(uri)} is not valid base64 ({error}): encode it again") from error


def _file_bytes(path: str | os.PathLike[str], policy: ImagePolicy) -> bytes:
    try:
        place = Path(path).resolve()  # follows symbolic links, so that none leads out of the roots
        _check_roots(place, path, policy)
        facts = place.stat()
        # Checked before opening: a pipe would wait for its writer for ever.
        if stat.S_ISDIR(facts.st_mode):
            raise ImageError(f"{named(path)} is a folder: name one image in it")
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError(f"{named(path)} is no regular file: give its content as bytes")
        if facts.st_size > policy.max_bytes:
            raise policy.too_large(path, f"{facts.st_size:,}")
        with place.open("rb") as stream:
            return policy.within_limit(stream.read(policy.max_bytes + 1), path)
    except FileNotFoundError as error:
        raise ImageError(f"{named(path)} does not exist: check the path") from error
    except PermissionError as error:
        raise ImageError(f"{named(path)} may not be read: check its permissions") from error
    except RuntimeError as error:  # pathlib's word for a loop, before Python 3.13
        raise ImageError(f"{named(path)} is a loop of symbolic links: remove the loop") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(f"{named(path)} cannot be opened ({reason(error)}): check it") from error


def _check_roots(place: Path, path: str | os.PathLike[str], policy: ImagePolicy) -> None:
    roots = policy.roots
    if roots is not None and not any(place.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(named, roots)) or "none"
        raise ImageError(
            f"{named(path)} lies outside of the allowed folders ({allowed}): "
            "move the image there, or add its folder to ImagePolicy.roots"
        )


def _stream_bytes(stream: IO[bytes], policy: ImagePolicy) -> bytes:
    data = bytearray()
    try:
        while len(data) <= policy.max_bytes:
            block = stream.read(policy.max_bytes + 1 - len(data))
            if not block:
                break
            data += block
    except TypeError as error:
        raise ImageError(f"{named(stream)} gives text: open it in mode 'rb'") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{named(stream)} cannot be read ({reason(error)}): open it again") from error
    return policy.within_limit(bytes(data), stream)
