"""Malformed and unusual images of single formats: costly for their size, rare, or with impossible headers."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from image_bytes import SIZE, chunk, encoded, png, sample_image, tiff
from PIL import Image

Bytes = Iterator[tuple[str, bytes, tuple[int, int] | str]]

UNKNOWN = "is no image that can be read"
DAMAGED = "is damaged or cut off|is no image that can be read"
ROW = b"\0" * 9


def slow() -> Bytes:
    progressive = bytearray(encoded(sample_image(), "JPEG", progressive=True))
    scan = progressive.index(b"\xff\xda")
    scans = bytes(progressive[scan:-2])
    frame = progressive.index(b"\xff\xc2")
    progressive[frame + 5 : frame + 9] = struct.pack(">HH", 7_000, 7_000)
    # Each scan is a few bytes, and another walk over 49 million pixels.
    yield ("scans.jpg", bytes(progressive[:-2]) + scans * 2_000 + b"\xff\xd9", "has more than 100 scans")
    yield "fill.jpg", b"\xff\xd8" + b"\xff" * 1_000_000, UNKNOWN
    frame = b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    yield "frames.gif", b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 100_000 + b";", (1, 1)
    bomb = b"a\0\0" + zlib.compress(b"a" * 10**8)
    yield "profile.png", png(8, 8, pixels=ROW * 8, extra=chunk(b"iCCP", bomb)), DAMAGED
    late = png(8, 8, pixels=ROW * 8)[:-12] + chunk(b"zTXt", bomb) + chunk(b"IEND", b"")
    yield "late-words.png", late, DAMAGED
    yield "endless.png", png(8, 8, pixels=b"\0" * 10**8), (8, 8)
    yield "pieces.png", png(8, 8, pixels=ROW * 8, extra=chunk(b"tEXt", b"a\0b") * 20_000), (8, 8)


def rare() -> Bytes:
    """Formats that are not read, and corners of those that are."""
    for brand in (b"avif", b"heic", b"mif1"):
        box = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand
        yield f"{brand.decode()}.jpg", box + b"\0" * 300, UNKNOWN
    yield "jpeg-xl.jpg", b"\xff\x0a" + b"\0" * 100, UNKNOWN
    yield "jpeg-2000.jpg", b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 100, UNKNOWN
    yield "svg.svgz", b"\x1f\x8b" + zlib.compress(b"<svg/>" * 100), UNKNOWN
    yield "interlaced.png", _interlaced(1), (64, 64)
    yield "interlaced-cut.png", _interlaced(2), DAMAGED
    yield "interlaced-cut.gif", encoded(sample_image(), "GIF", interlace=1)[:-300], DAMAGED
    cmyk = encoded(sample_image("CMYK"), "JPEG")
    yield "cmyk-inverted.jpg", cmyk, SIZE
    adobe = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :], SIZE
    turned = Image.Exif()
    turned[0x0112] = 7
    pair = encoded(sample_image(), "MPO", save_all=True, append_images=[sample_image()], exif=turned)
    yield "pair.mpo", pair, SIZE[::-1]
    yield "pair-cut.mpo", pair[: len(pair) // 3], DAMAGED
    film = encoded(sample_image(), "WEBP", save_all=True, append_images=[sample_image("L")])
    yield "film-cut.webp", film[: len(film) // 2], DAMAGED
    film = encoded(sample_image(), "TIFF", save_all=True, append_images=[sample_image()] * 3)
    yield "film-cut-in-its-last.tif", film[: len(film) * 3 // 4], SIZE


def tiff_directories() -> Bytes:
    """TIFF directories that count what is not there, or point to themselves."""
    yield "plain.tif", tiff(), (8, 8)
    yield "counts-tags.tif", tiff(more=65_000), (8, 8)
    yield "counts-letters.tif", tiff((270, 2, 2**32 - 1, 8)), (8, 8)
    yield "counts-strips.tif", tiff((273, 4, 2**28, 8), (279, 4, 2**28, 8)), DAMAGED
    yield "counts-samples.tif", tiff((277, 3, 1, 65_535)), DAMAGED
    yield "leads-to-itself.tif", tiff((34_665, 4, 1, 8)), (8, 8)
    yield "huge-tile.tif", tiff((322, 4, 1, 2**31 - 1), (323, 4, 1, 2**31 - 1)), (8, 8)
    yield "huge-strip.tif", tiff((256, 4, 1, 7_000), (257, 4, 1, 7_000), (259, 3, 1, 5)), DAMAGED
    yield "no-numbers.tif", tiff((258, 3, 1, 32), (339, 3, 1, 3), rest=b"\xff" * 1000), (8, 8)
    yield "doubles.tif", tiff((258, 3, 1, 64), (339, 3, 1, 3)), DAMAGED
    yield "big.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**40) + b"\0" * 100, DAMAGED


def bitmap_headers() -> Bytes:
    """Bitmap headers with impossible sizes and colors."""
    for name, height, colors, expected in (
        ("upside-down", -8, 256, (8, 8)),
        ("lowest", -(2**31), 256, "is too large"),
        ("colors", 8, 2**32 - 1, DAMAGED),
    ):
        start = b"BM" + struct.pack("<IHHI", 3_000, 0, 0, 54 + 1024)
        facts = struct.pack("<IiiHHIIiiII", 40, 8, height, 1, 8, 0, 0, 0, 0, colors, 0)
        yield f"{name}.bmp", start + facts + b"\0" * 2_000, expected


def _interlaced(part: int) -> bytes:
    rows = io.BytesIO()
    passes = ("0088", "4088", "0448", "2044", "0224", "1022", "0112")  # as PNG orders them
    for x, y, dx, dy in (map(int, one) for one in passes):
        wide, high = -(-(64 - x) // dx), -(-(64 - y) // dy)
        rows.write((b"\0" + bytes(range(wide))) * high)
    data = zlib.compress(rows.getvalue())
    whole = png(64, 64, interlaced=True)
    end = chunk(b"IDAT", data[: len(data) // part]) + chunk(b"IEND", b"")
    return whole[: whole.index(b"IDAT") - 4] + end
