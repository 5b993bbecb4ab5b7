"""Decoding of image bytes to upright 8-bit PIL images, with limits on pixels and JPEG scans."""

from __future__ import annotations

import hashlib
import io
import math
import re
import threading
import warnings
from typing import cast

from PIL import Image, ImageOps, UnidentifiedImageError

from mmrag.errors import ImageError
from mmrag.images.policy import ImagePolicy, ImageSource
from mmrag.images.redact import describe_error, describe_source

__all__ = ["content_hash", "count_jpeg_scans", "decode_image", "open_image"]

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_MAX_SCANS = 100  # of a JPEG; encoders write about ten
_ORIENTATION = 0x0112  # EXIF tag
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])", re.DOTALL)

# Pillow warns about damaged metadata; Python silences warnings by swapping a global list.
_warnings_lock = threading.Lock()


def content_hash(image: Image.Image) -> str:
    """Return the SHA-256 of mode, size, pixels, palette and transparency in hexadecimal; metadata does not count."""
    transparency = image.info.get("transparency")
    digest = hashlib.sha256(repr((image.mode, image.size, transparency)).encode())
    digest.update(image.tobytes())
    if image.palette is not None:
        digest.update(image.palette.tobytes())
    return digest.hexdigest()


def open_image(data: bytes, source: ImageSource, policy: ImagePolicy) -> Image.Image:
    """Read the header of an encoded image; raise `ImageError` if it is damaged or a JPEG has too many scans."""
    try:
        with _warnings_lock, warnings.catch_warnings(action="ignore"):
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.format == "TIFF":
                image.getexif()  # else its decoder parses it later, with warnings on
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise _too_many_pixels(source, f"more than {limit:,} pixels", policy) from error
    except Exception as error:  # damaged headers raise a dozen types, struct.error and KeyError too
        # Pillow's own message for an unknown format names an object in memory only.
        why = "unknown format" if isinstance(error, UnidentifiedImageError) else describe_error(error)
        raise ImageError(
            f"{describe_source(source)} is no image that can be read ({why}): give {', '.join(_FORMATS)}"
        ) from error
    if image.format in ("JPEG", "MPO") and count_jpeg_scans(data, _MAX_SCANS) > _MAX_SCANS:
        raise ImageError(
            f"{describe_source(source)} has more than {_MAX_SCANS} scans, which takes too long to read: save it again"
        )
    return image


def decode_image(image: Image.Image, source: ImageSource, policy: ImagePolicy) -> Image.Image:
    """Decode all pixels to an upright 8-bit image that holds no file open; one that is so already is not copied.

    Raises `ImageError` if it has no pixels, more than the policy allows, or damaged ones.
    """
    pixels = image.width * image.height
    if pixels > policy.max_pixels:
        raise _too_many_pixels(source, f"{image.width}×{image.height} = {pixels:,} pixels", policy)
    if not pixels:
        raise ImageError(f"{describe_source(source)} has no pixels ({image.width}×{image.height}): save it again")
    try:
        image.load()
    except Exception as error:  # the same dozen types
        raise ImageError(
            f"{describe_source(source)} is damaged or cut off ({describe_error(error)}): copy or download it again"
        ) from error
    try:
        with _warnings_lock, warnings.catch_warnings(action="ignore"):
            oriented = image.getexif().get(_ORIENTATION, 1) != 1  # parsed here once, then cached by the image
        decoded = type(image) is Image.Image
        upright = image if decoded and not oriented else ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF is no reason to refuse good pixels
        upright = image.copy()
    return _to_8bit(upright) if upright.mode[0] in "IF" else upright


def _to_8bit(image: Image.Image) -> Image.Image:
    """Convert 16-bit, 32-bit and float grays to mode L.

    Sixteen bits map 0..65535 to black..white, as PNG and TIFF define. Other numbers map their minimum to black and
    their maximum to white, unless they lie within 0..255 already. Pillow alone would clip them to white.
    """
    if image.mode in ("I", "F"):
        (low, high), numbers = cast(tuple[float, float], image.getextrema()), image
    else:  # I;16
        low, high, numbers = 0.0, 65_535.0, image.convert("I")
    outside = low < 0 or high > 255 or (high <= 1 and image.mode == "F")
    if outside and math.isfinite(high - low) and high > low:
        scale = 255 / (high - low)
        numbers = numbers.convert("F").point(lambda number: number * scale + (0.5 - low * scale))
    gray = numbers.convert("L")
    gray.info.pop("transparency", None)  # it was a number, too
    return gray


def count_jpeg_scans(data: bytes, limit: int) -> int:
    r"""Count the scans of the first image in a JPEG, stopping at ``limit + 1``.

    A scan may take a few bytes, yet costs a pass over all pixels: a file of 20 MB and allowed size could take an hour
    to decode. Scan markers inside metadata or behind the end do not count.

    >>> comment, scan, end = b"\xff\xfe\0\4\xff\xda", b"\xff\xda\0\2...", b"\xff\xd9"
    >>> count_jpeg_scans(b"\xff\xd8" + comment + scan + scan + end + scan, limit=9)
    2
    """
    scans = position = 0
    while scans <= limit and (marker := _MARKER.search(data, position)):
        kind, position = marker[1][0], marker.end()
        if kind == _END:
            break
        scans += kind == _SCAN
        if kind != _START:
            position += int.from_bytes(data[position : position + 2])
    return scans


def _too_many_pixels(source: ImageSource, size: str, policy: ImagePolicy) -> ImageError:
    return ImageError(
        f"{describe_source(source)} is too large ({size}; the limit is {policy.max_pixels:,}): "
        "scale it down, or raise ImagePolicy.max_pixels"
    )
