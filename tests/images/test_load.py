"""`load_image` decodes any source upright, within the limits of the policy, or raises `ImageError`."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from malformed_images import encoded, sample_image
from PIL import Image, ImageOps

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, content_hash, load_image

PNG = encoded(sample_image(), "PNG")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "an image.png"
    path.write_bytes(PNG)
    return path


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and np.array_equal(np.asarray(one), np.asarray(other))


def test_every_kind_of_source_gives_the_same_image(path):
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    with path.open("rb") as file:
        sources = [path, str(path), PNG, bytearray(PNG), io.BytesIO(PNG), file, uri, sample_image()]
        assert all(same(load_image(source), sample_image()) for source in sources)


def test_a_data_uri_may_be_percent_encoded():
    plain = "data:," + "".join(f"%{byte:02x}" for byte in PNG)
    mixed = "DATA:image/png;BASE64," + base64.b64encode(PNG).decode().replace("+", "%2B")
    assert same(load_image(plain), sample_image())
    assert same(load_image(mixed), sample_image())


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_lossless_pixels_keep_their_mode(mode, format):
    image = sample_image().convert(mode)
    loaded = load_image(encoded(image, format))
    assert loaded.mode == mode or format == "GIF"  # GIF knows palettes only
    assert same(loaded.convert("RGB"), image.convert("RGB"))


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "LA"])
def test_unusual_modes_are_kept(mode):
    assert same(load_image(encoded(sample_image(mode), "TIFF")), sample_image(mode))


SLOPE = np.linspace(0, 1, 40 * 30).reshape(30, 40)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grays_become_8_bit(format):
    deep = Image.fromarray((SLOPE * 65_535).astype(np.uint16))
    loaded = load_image(encoded(deep, format))
    assert loaded.mode == "L"
    assert np.abs(np.asarray(loaded) - SLOPE * 255).max() <= 1


@pytest.mark.parametrize(
    "pixels",
    [SLOPE, SLOPE * 9e6 - 4e6, (SLOPE * 2**31 - 2**30).astype(np.int32)],
    ids=["from 0 to 1", "negative, too", "whole numbers"],
)
def test_float_and_32_bit_values_are_scaled_from_black_to_white(pixels):
    image = Image.fromarray(pixels if pixels.dtype == np.int32 else pixels.astype(np.float32))
    loaded = load_image(encoded(image, "TIFF"))
    assert loaded.mode == "L"
    assert np.abs(np.asarray(loaded) - SLOPE * 255).max() <= 1


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_within_0_and_255_are_not_scaled(mode):
    shades = sample_image("L").point(lambda shade: shade // 2 + 9)
    assert same(load_image(encoded(shades.convert(mode), "TIFF")), shades)


def test_a_transparent_16_bit_gray_is_dropped():
    deep = Image.fromarray((SLOPE * 65_535).astype(np.uint16))
    loaded = load_image(encoded(deep, "PNG", transparency=40_000))
    assert loaded.convert("RGBA").getpixel((39, 29)) == (255, 255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_the_exif_orientation_is_applied(orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = sample_image()
    lossless = {"lossless": True} if format == "WEBP" else {}
    loaded = load_image(encoded(lying, format, exif=exif, **lossless))
    lying.getexif()[0x0112] = orientation
    assert same(loaded, ImageOps.exif_transpose(lying))
    assert same(load_image(loaded), loaded)


def test_an_upright_decoded_image_is_not_copied():
    image = sample_image()
    assert load_image(image) is image


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_loaded(format):
    later = [Image.new("RGB", (40, 30), color) for color in ("red", "blue")]
    film = encoded(Image.new("RGB", (40, 30), "lime"), format, save_all=True, append_images=later)
    red, green, blue = load_image(film).convert("RGB").getpixel((20, 15))
    assert (red, green) == (0, 255)
    assert blue < 5  # WebP is lossy


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
@pytest.mark.parametrize("format", ["PNG", "GIF", "TIFF", "WEBP"])
def test_no_file_is_left_open(tmp_path, format):
    path = tmp_path / "film"
    path.write_bytes(encoded(sample_image(), format, save_all=True, append_images=[sample_image("L")]))
    before = len(os.listdir("/proc/self/fd"))
    kept = load_image(path)
    assert len(os.listdir("/proc/self/fd")) == before
    path.unlink()
    assert kept.resize((4, 4)).size == (4, 4)


def test_the_callers_image_and_file_are_not_changed():
    image = sample_image()
    image.getexif()[0x0112] = 6
    file = io.BytesIO(PNG)
    assert load_image(image).size == (30, 40)
    load_image(file)
    assert image.size == (40, 30)
    assert image.getexif()[0x0112] == 6
    assert not file.closed


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere.png", "'nowhere.png' does not exist: check the path"),
        ("", "'' is a folder: name one image in it"),
        ("a\0b.png", r"'a\\x00b.png' cannot be opened"),
        ("x" * 4000, "cannot be opened"),
        (b"", r"bytes \(0\) is empty \(0 bytes\): copy or download"),
        (b"hello", r"bytes \(5\) is no image that can be read \(unknown format\): give JPEG, PNG"),
        (PNG[:-200], r"bytes \(\d+\) is damaged or cut off .*: copy or download it again"),
        ("data:image/png;base64", "has no comma: write data:image/png;base64,"),
        ("data:image/png;base64,%%%", "is not valid base64 .*: encode it again"),
        ("data:,", "is empty"),
        (io.StringIO("text"), "StringIO object gives text: open it in mode 'rb'"),
        (Image.new("RGB", (0, 5)), r"has no pixels \(0×5\): save it again"),
        (None, "cannot read an image from NoneType object: give a path, URL"),
        (7, "cannot read an image from int object"),
    ],
)
def test_a_source_that_is_no_image_is_refused(source, reason):
    with pytest.raises(ImageError, match=reason):
        load_image(source)


def test_a_closed_file_and_a_closed_image_are_refused(path):
    with path.open("rb") as file, Image.open(path) as image:
        pass
    with pytest.raises(ImageError, match=r"cannot be read .*: open it again"):
        load_image(file)
    with pytest.raises(ImageError, match="damaged or cut off"):
        load_image(image)


def test_max_bytes_limits_every_kind_of_source(path):
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    for source in (path, PNG, io.BytesIO(PNG), uri):
        with pytest.raises(ImageError, match=r"limit is [\d,]+: .* ImagePolicy.max_bytes"):
            load_image(source, ImagePolicy(max_bytes=len(PNG) - 1))
    for source in (path, PNG, io.BytesIO(PNG), uri):
        assert load_image(source, ImagePolicy(max_bytes=len(PNG)))


def test_a_file_over_max_bytes_is_not_read(tmp_path):
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(10**12)  # a hole: takes no disk, but could never be held in memory
    with pytest.raises(ImageError, match=r"has 1,000,000,000,000 bytes, the limit is 20,000,000"):
        load_image(path)


def test_a_stream_is_read_up_to_max_bytes_only():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += min(size, 1000)
            return b"\0" * min(size, 1000)

    stream = Endless()
    with pytest.raises(ImageError, match="more than 5,500"):
        load_image(stream, ImagePolicy(max_bytes=5_500))
    assert stream.given == 5_501


def test_max_pixels_is_checked_before_decoding(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(ImageError, match=r"40×30 = 1,200 pixels; the limit is 1,199\): scale"):
        load_image(PNG, ImagePolicy(max_pixels=1_199))


def test_only_files_below_the_roots_are_read(tmp_path, path):
    inside = tmp_path / "shop"
    inside.mkdir()
    (inside / "a.png").write_bytes(PNG)
    (inside / "out.png").symlink_to(path)
    (tmp_path / "in.png").symlink_to(inside / "a.png")
    (tmp_path / "shop2").mkdir()
    policy = ImagePolicy(roots=[inside])
    assert load_image(inside / "a.png", policy)
    assert load_image(tmp_path / "in.png", policy)
    for outside in (path, inside / "out.png", inside / "../an image.png", tmp_path / "shop2", "/no"):
        with pytest.raises(ImageError, match=r"outside of the allowed folders \('.*shop'\): move"):
            load_image(outside, policy)


def test_empty_roots_allow_no_file(path):
    with pytest.raises(ImageError, match=r"allowed folders \(none\)"):
        load_image(path, ImagePolicy(roots=[]))


@pytest.mark.parametrize("wrong", [{"hosts": "shop.example"}, {"roots": "/srv"}])
def test_a_string_instead_of_a_list_of_hosts_or_roots_is_refused(wrong):
    with pytest.raises(ImageError, match="is one string: give a list"):
        ImagePolicy(**wrong)


def test_error_messages_are_short_and_hold_no_bytes():
    for source in ("data:image/png;base64," + "A" * 10_000, "x" * 10_000, b"\xff" * 10_000):
        with pytest.raises(ImageError) as refusal:
            load_image(source)
        assert len(str(refusal.value)) < 500
        assert "AAAA" not in str(refusal.value)


def test_content_hash_covers_pixels_mode_palette_and_transparency():
    image = sample_image("P")
    hashes = {content_hash(image)}
    other_palette = image.copy()
    other_palette.putpalette(bytes(range(256)) * 3)
    clear = image.copy()
    clear.info["transparency"] = 0
    for other in (other_palette, clear, image.convert("RGB"), image.convert("L"), image.rotate(180)):
        hashes.add(content_hash(other))
    assert len(hashes) == 6
    assert content_hash(load_image(encoded(sample_image(), "PNG"))) == content_hash(sample_image())
    assert content_hash(load_image(encoded(sample_image(), "BMP"))) == content_hash(sample_image())
