"""A corpus of malformed and unusual images, and for each its size or a pattern of the error message."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from image_bytes import SIZE, chunk, encoded, png, sample_image
from malformed_formats import DAMAGED, UNKNOWN, bitmap_headers, rare, slow, tiff_directories
from PIL import Image

Expectation = tuple[int, int] | str
Bytes = Iterator[tuple[str, bytes, Expectation]]

LOOP = "loop of symbolic links|cannot be opened"
TOO_LARGE = "is too large .*limit is 50,000,000"
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}


def write_malformed_images(folder: Path) -> list[tuple[Path, Expectation]]:
    """Write the corpus: more than a hundred entries, no two alike."""
    written: list[tuple[Path, Expectation]] = []
    for kind in (
        _cut, _misnamed, _huge, _empty, _extreme, _modes, _animated, _metadata, _polyglot,
        slow, rare, tiff_directories, bitmap_headers,
    ):  # fmt: skip
        for name, data, expectation in kind():
            path = folder / f"{kind.__name__.strip('_')}-{name}"
            path.write_bytes(data)
            written.append((path, expectation))
    written.extend(_oddly_named(folder))
    written.extend(_no_files(folder))
    return written


def _cut() -> Bytes:
    for format, extension in EXTENSIONS.items():
        whole = encoded(sample_image(), format)
        for place in (1, 4, 12, 20, 30, len(whole) // 4, len(whole) // 2, len(whole) * 3 // 4):
            yield f"at-{place}.{extension}", whole[:place], DAMAGED
        yield f"never.{extension}", whole, SIZE


def _misnamed() -> Bytes:
    yield "png.jpg", encoded(sample_image(), "PNG"), SIZE
    yield "jpeg.gif", encoded(sample_image(), "JPEG"), SIZE
    yield "text.png", b"just a few words\n" * 50, UNKNOWN
    yield "page.jpg", b"<!doctype html><img src=x onerror=alert(1)>", UNKNOWN
    yield ("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', UNKNOWN)
    yield "postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", UNKNOWN
    yield "pdf.jpg", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", UNKNOWN
    yield "zip.png", b"PK\x03\x04" + b"\0" * 100, UNKNOWN
    yield "gzip.jpg", b"\x1f\x8b\x08" + b"\0" * 100, UNKNOWN
    yield "ppm.jpg", encoded(sample_image(), "PPM"), UNKNOWN
    yield "ico.png", encoded(sample_image(size=(32, 32)), "ICO"), UNKNOWN
    yield "radiance.tif", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\0\0\0\0", UNKNOWN
    yield "noise.jpg", bytes(range(256)) * 40, UNKNOWN


def _huge() -> Bytes:
    yield "header.png", png(60_000, 60_000), TOO_LARGE
    yield "just-over.png", png(10_000, 5_001, depth=1), TOO_LARGE
    yield "real.png", png(8_000, 8_000, depth=1, pixels=b"\0" * 1_001 * 8_000), TOO_LARGE
    yield "widest.png", png(2**31 - 1, 2**31 - 1), TOO_LARGE
    for width, name in ((9_000, "header.gif"), (65_535, "largest.gif")):
        frame = b"," + struct.pack("<HHHH", 0, 0, width, width) + b"\0\x02\x02\x44\x01\0;"
        yield name, b"GIF89a" + struct.pack("<HH", 8, 8) + b"\0\0\0" + frame, TOO_LARGE
    webp = bytearray(encoded(sample_image(), "WEBP", lossless=True))
    webp[21:25] = struct.pack("<I", 16_382 | 16_382 << 14)
    yield "header.webp", bytes(webp), TOO_LARGE
    tiff = bytearray(encoded(sample_image("L"), "TIFF"))
    entry = tiff.index(struct.pack("<HHI", 256, 4, 1))
    tiff[entry + 8 : entry + 12] = struct.pack("<I", 10_000_000)
    yield "header.tif", bytes(tiff), TOO_LARGE
    bmp = bytearray(encoded(sample_image(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    yield "header.bmp", bytes(bmp), TOO_LARGE
    jpeg = bytearray(encoded(sample_image(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    yield "header.jpg", bytes(jpeg), TOO_LARGE
    yield ("words.png", png(8, 8, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 10**8))), DAMAGED)
    yield "file.jpg", encoded(sample_image(), "JPEG") + b"\0" * 20_000_000, "the limit is 20,000,000"


def _empty() -> Bytes:
    yield "file.jpg", b"", r"is empty \(0 bytes\)"
    yield "spaces.png", b" \n" * 20, UNKNOWN
    yield "no-width.png", png(0, 10), "can be read|no pixels"
    yield "no-height.png", png(10, 0), "can be read|no pixels"
    yield "no-size.gif", b"GIF89a\0\0\0\0\0\0\0;", "can be read|no pixels"
    yield "no-data.png", png(10, 10), DAMAGED
    yield "zeros.jpg", b"\0" * 5_000, UNKNOWN


def _extreme() -> Bytes:
    yield "tall.png", encoded(Image.new("RGB", (1, 100_000)), "PNG"), (1, 100_000)
    yield "wide.png", encoded(Image.new("L", (100_000, 1)), "PNG"), (100_000, 1)
    yield "wide.jpg", encoded(Image.new("RGB", (65_500, 1)), "JPEG"), (65_500, 1)
    yield "tall.tif", encoded(Image.new("L", (1, 100_000)), "TIFF"), (1, 100_000)
    for format, extension in EXTENSIONS.items():
        yield f"dot.{extension}", encoded(sample_image(size=(1, 1)), format), (1, 1)


def _modes() -> Bytes:
    for mode, format in (
        ("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("I;16", "PNG"),
        ("L", "JPEG"), ("CMYK", "JPEG"), ("YCbCr", "JPEG"), ("RGBA", "WEBP"), ("L", "WEBP"),
        ("1", "BMP"), ("P", "BMP"), ("RGBA", "BMP"), ("L", "GIF"), ("RGBA", "GIF"),
        ("CMYK", "TIFF"), ("F", "TIFF"), ("I", "TIFF"), ("I;16", "TIFF"), ("LAB", "TIFF"),
        ("1", "TIFF"),
    ):  # fmt: skip
        square = sample_image("L").convert("I;16") if mode == "I;16" else Image.new(mode, SIZE)
        name = f"{mode.replace(';', '-')}.{EXTENSIONS[format]}"
        yield name, encoded(square, format), SIZE
    deep = (b"\0" + bytes(6 * SIZE[0])) * SIZE[1]
    yield "RGB-16.png", png(*SIZE, depth=16, color=2, pixels=deep), SIZE
    palette = sample_image("P")
    yield "P-one-clear.png", encoded(palette, "PNG", transparency=3), SIZE
    yield "P-many-clear.png", encoded(palette, "PNG", transparency=bytes(range(256))), SIZE
    yield "P-clear.gif", encoded(palette, "GIF", transparency=3), SIZE
    yield "P-no-palette.png", png(*SIZE, color=3, pixels=(b"\0" * 41) * 30), SIZE
    yield "progressive.jpg", encoded(sample_image(), "JPEG", progressive=True), SIZE
    for packing in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        yield f"{packing}.tif", encoded(sample_image(), "TIFF", compression=packing), SIZE


def _animated() -> Bytes:
    first, others = sample_image(), [Image.new("RGB", SIZE, color) for color in ("red", "blue")]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(first, format, save_all=True, append_images=others)
        yield f"three.{EXTENSIONS[format]}", data, SIZE
    gif = encoded(first, "GIF", save_all=True, append_images=others)
    yield "cut-in-the-last.gif", gif[:-40], SIZE


def _metadata() -> Bytes:
    turned = Image.Exif()
    turned[0x0112] = 6
    for format in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield f"turned.{EXTENSIONS[format]}", encoded(sample_image(), format, exif=turned), SIZE[::-1]
    whole = turned.tobytes()
    start = b"Exif\0\0"
    for name, exif in {
        "noise": start + bytes(range(200)),
        "cut": whole[:20],
        "only-its-name": start,
        "wrong-byte-order": start + b"XX*\0\x08\0\0\0",
        "points-outside": start + b"II*\0\xff\xff\xff\x7f",
        "points-to-itself": start + b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "million-entries": start + b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x63\0\0\0" * 9,
    }.items():
        yield f"{name}.jpg", encoded(sample_image(), "JPEG", exif=exif), SIZE
        yield (f"{name}.png", png(*SIZE, pixels=(b"\0" * 41) * 30, extra=chunk(b"eXIf", exif[6:])), SIZE)
    profile = b"not a color profile"
    yield "profile.jpg", encoded(sample_image(), "JPEG", icc_profile=profile), SIZE
    yield "checksum.png", encoded(sample_image(), "PNG").replace(b"IHDR", b"IHDr", 1), UNKNOWN


def _polyglot() -> Bytes:
    page = b"<script>alert(1)</script>"
    yield "jpeg-and-zip.jpg", encoded(sample_image(), "JPEG") + b"PK\x05\x06" + b"\0" * 18, SIZE
    yield "jpeg-and-page.jpg", encoded(sample_image(), "JPEG", comment=page), SIZE
    yield "png-and-page.png", encoded(sample_image(), "PNG") + page, SIZE
    yield "gif-and-script.gif", encoded(sample_image(), "GIF") + b"*/=1;alert(1)//", SIZE
    yield "bmp-and-jpeg.bmp", encoded(sample_image(), "BMP") + encoded(sample_image(), "JPEG"), SIZE
    yield "pdf-and-jpeg.pdf.jpg", b"%PDF-1.4\n" + encoded(sample_image(), "JPEG"), UNKNOWN
    yield "page-and-jpeg.jpg", page + encoded(sample_image(), "JPEG"), UNKNOWN


def _oddly_named(folder: Path) -> Iterator[tuple[Path, Expectation]]:
    data = encoded(sample_image(), "PNG")
    names = [
        "it's.png", 'say "hi".png', "a [1] {2} (3) <4>.png", "two\nlines.png", "a\ttab.png",
        "back\\slash.png", "-rf.png", " space .png", "….png", "%2e%2e%2f.png", "![](x.png)",
        "*?.png", "$HOME;`id`.png", "#1?size=2&x=3.png", "data:image,png", "http:x.png",
        "чашка-茶-🍵.png", "\u202egnp.exe", "e\u0301.png", "\x1b[31mred.png", "x" * 251 + ".png",
        "no-extension", os.fsdecode(b"caf\xe9.png"),
    ]  # fmt: skip
    deep = folder / "deep"
    while len(str(deep)) < 3_700:
        deep /= "d" * 200
    for path in [*(folder / name for name in names), deep / "deep.png"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        yield path, SIZE


def _no_files(folder: Path) -> Iterator[tuple[Path, Expectation]]:
    makers: dict[str, tuple[Callable[[Path], object], Expectation]] = {
        "folder.jpg": (Path.mkdir, "is a folder"),
        "nowhere.jpg": (lambda path: path.symlink_to("is not there"), "does not exist"),
        "itself.jpg": (lambda path: path.symlink_to(path), LOOP),
        "there.jpg": (lambda path: path.symlink_to("back.jpg"), LOOP),
        "back.jpg": (lambda path: path.symlink_to("there.jpg"), LOOP),
        "endless.jpg": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
        "memory.jpg": (lambda path: path.symlink_to("/proc/self/mem"), "cannot be opened"),
        "pipe.jpg": (os.mkfifo, "no regular file"),
        "link.jpg": (lambda path: path.symlink_to("misnamed-png.jpg"), SIZE),
        "other-name.jpg": (lambda path: path.hardlink_to(folder / "misnamed-png.jpg"), SIZE),
    }  # fmt: skip
    for name, (make, expectation) in makers.items():
        make(folder / name)
        yield folder / name, expectation
    locked = folder / "locked.png"
    locked.write_bytes(encoded(sample_image(), "PNG"))
    locked.chmod(0)
    # Root may read it all the same.
    yield locked, SIZE if os.access(locked, os.R_OK) else "may not be read"
