"""From the bytes of an image to its pixels: size checked in the header first, set upright last."""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from PIL import Image, ImageOps, UnidentifiedImageError

from mmrag.errors import ImageError
from mmrag.images.policy import ImagePolicy, ImageSource, named, reason
from mmrag.images.scans import count_scans
from mmrag.images.shades import in_eight_bits

__all__ = ["content_hash", "decoded", "upright"]

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

_MOST_SCANS = 100
"""Of a JPEG; encoders make about ten."""

# Pillow warns about damaged metadata; Python silences warnings by swapping a global list.
_one_silence_at_a_time = threading.Lock()


def content_hash(image: Image.Image) -> str:
    """Hash what is seen: mode, size, pixels, palette and transparency; not the file's metadata.

    Examples
    --------
    >>> content_hash(Image.new("RGB", (2, 3))) == content_hash(Image.new("RGB", (3, 2)))
    False
    """
    transparency = image.info.get("transparency")
    digest = hashlib.sha256(repr((image.mode, image.size, transparency)).encode())
    digest.update(image.tobytes())
    if image.palette is not None:
        digest.update(image.palette.tobytes())
    return digest.hexdigest()


def decoded(data: bytes, source: ImageSource, policy: ImagePolicy) -> Image.Image:
    """Read the header; the pixels follow in `upright`, once the size is known to be allowed."""
    try:
        with _silence():
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.format == "TIFF":
                image.getexif()  # else its decoder reads it, out of this silence
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise _too_many_pixels(source, f"more than {most:,} pixels", policy) from error
    except Exception as error:  # damaged headers raise a dozen types, struct.error and KeyError too
        # Pillow's own words for an unknown format name an object in memory, and say nothing.
        why = "unknown format" if isinstance(error, UnidentifiedImageError) else reason(error)
        raise ImageError(f"{named(source)} is no image that can be read ({why}): give {', '.join(_FORMATS)}") from error
    if image.format in ("JPEG", "MPO") and count_scans(data, _MOST_SCANS) > _MOST_SCANS:
        raise ImageError(
            f"{named(source)} has more than {_MOST_SCANS} scans, which takes too long to read: save it again"
        )
    return image


def upright(image: Image.Image, source: ImageSource, policy: ImagePolicy) -> Image.Image:
    """Decode all pixels, in eight bits, and turn them upright, on a copy that needs no file."""
    pixels = image.width * image.height
    if pixels > policy.max_pixels:
        raise _too_many_pixels(source, f"{image.width}×{image.height} = {pixels:,} pixels", policy)
    if not pixels:
        raise ImageError(f"{named(source)} has no pixels ({image.width}×{image.height}): save it again")
    try:
        image.load()
    except Exception as error:  # the same dozen types
        raise ImageError(
            f"{named(source)} is damaged or cut off ({reason(error)}): copy or download it again"
        ) from error
    try:
        with _silence():
            image.getexif()  # parsed here once, then remembered by the image
        return in_eight_bits(ImageOps.exif_transpose(image))
    except Exception:  # damaged EXIF is no reason to refuse good pixels
        return in_eight_bits(image.copy())


def _too_many_pixels(source: ImageSource, size: str, policy: ImagePolicy) -> ImageError:
    return ImageError(
        f"{named(source)} is too large ({size}; the limit is {policy.max_pixels:,}): "
        "scale it down, or raise ImagePolicy.max_pixels"
    )


@contextmanager
def _silence() -> Generator[None]:
    with _one_silence_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
