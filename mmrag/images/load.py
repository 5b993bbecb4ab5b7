"""Loading of images from paths, URLs, data URIs, bytes and files, checked against a policy."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import IO
from urllib.parse import unquote_to_bytes

from PIL import Image

from mmrag.errors import ImageError
from mmrag.images.decode import decode_image, open_image
from mmrag.images.fetch import fetch
from mmrag.images.policy import BytesSource, ImagePolicy, ImageSource
from mmrag.images.redact import describe_error, describe_source, url_scheme

__all__ = ["load_image", "read_bytes"]

_ANY_LOCAL_FILE = ImagePolicy()


def load_image(source: ImageSource, policy: ImagePolicy = _ANY_LOCAL_FILE) -> Image.Image:
    """Load an image upright, in its own mode; grays of more than 8 bits in mode L.

    Parameters
    ----------
    source : str, path, bytes, binary file or PIL.Image.Image
        A path, an ``http(s)`` URL, a ``data:`` URI, encoded bytes, a binary file or a PIL image. Formats: JPEG, PNG,
        WebP, GIF, BMP and TIFF; of an animation, the first frame.
    policy : ImagePolicy, optional
        Which files and hosts may be read, and how large an image may be. Default: any local file, no URL.

    Returns
    -------
    PIL.Image.Image
        Fully decoded, with no file open and the EXIF orientation applied. A PIL image that already is all that is
        returned as it is, not copied.

    Raises
    ------
    ImageError
        If the image is refused, missing or damaged. The message holds the source, the limit and the next step.

    Examples
    --------
    >>> load_image("data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAkQBADs=").size
    (1, 1)
    """
    if isinstance(source, Image.Image):
        return decode_image(source, source, policy)
    data = read_bytes(source, policy)
    if not data:
        raise ImageError(f"{describe_source(source)} is empty (0 bytes): copy or download the image again")
    return decode_image(open_image(data, source, policy), source, policy)


def read_bytes(source: BytesSource, policy: ImagePolicy = _ANY_LOCAL_FILE) -> bytes:
    """Read the encoded bytes of an image; sources and errors are those of `load_image`."""
    if isinstance(source, str) and ":" in source and (scheme := url_scheme(source)):
        data = _data_uri_bytes(source) if scheme == "data" else fetch(source, policy)
    elif isinstance(source, (str, os.PathLike)):
        data = _file_bytes(source, policy)
    elif isinstance(source, (bytes, bytearray)):
        data = bytes(source)
    elif hasattr(source, "read"):
        data = _stream_bytes(source, policy.max_bytes)
    else:
        raise ImageError(
            f"cannot read an image from {describe_source(source)}: "
            "give a path, URL, data URI, bytes, binary file or PIL image"
        )
    if len(data) > policy.max_bytes:
        raise policy.too_large(source, f"more than {policy.max_bytes:,}")
    return data


def _data_uri_bytes(uri: str) -> bytes:
    header, comma, payload = uri.partition(",")
    if not comma:
        raise ImageError(f"{describe_source(uri)} has no comma: write data:image/png;base64,…")
    data = unquote_to_bytes(payload)
    if not header.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise ImageError(f"{describe_source(uri)} is not valid base64 ({error}): encode it again") from error


def _file_bytes(path: str | os.PathLike[str], policy: ImagePolicy) -> bytes:
    try:
        resolved = Path(path).resolve()  # follows symbolic links, so that none leads out of the roots
        if policy.roots is not None and not any(resolved.is_relative_to(root) for root in policy.roots):
            allowed = ", ".join(map(describe_source, policy.roots)) or "none"
            raise ImageError(
                f"{describe_source(path)} lies outside of the allowed folders ({allowed}): "
                "move the image there, or add its folder to ImagePolicy.roots"
            )
        status = resolved.stat()
        # Checked before opening: reading a pipe would block until its writer writes.
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{describe_source(path)} is a folder: name one image in it")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{describe_source(path)} is no regular file: give its content as bytes")
        if status.st_size > policy.max_bytes:
            raise policy.too_large(path, f"{status.st_size:,}")
        with resolved.open("rb") as stream:
            return stream.read(policy.max_bytes + 1)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{describe_source(path)} does not exist: check the path") from error
    except PermissionError as error:
        raise ImageError(f"{describe_source(path)} may not be read: check its permissions") from error
    except RuntimeError as error:  # what pathlib raises for a loop, before Python 3.13
        raise ImageError(f"{describe_source(path)} is a loop of symbolic links: remove the loop") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{describe_source(path)} cannot be opened ({describe_error(error)}): check it") from error


def _stream_bytes(stream: IO[bytes], max_bytes: int) -> bytes:
    data = bytearray()
    try:
        while len(data) <= max_bytes and (block := stream.read(max_bytes + 1 - len(data))):
            data += block
    except TypeError as error:
        raise ImageError(f"{describe_source(stream)} gives text: open it in mode 'rb'") from error
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{describe_source(stream)} cannot be read ({describe_error(error)}): open it again"
        ) from error
    return bytes(data)
