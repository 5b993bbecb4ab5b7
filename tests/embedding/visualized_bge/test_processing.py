"""Images become normalized square pixels, in the original's order of steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from run_profile import scaled

from mmrag.embedding.visualized_bge import processing
from mmrag.embedding.visualized_bge.processing import image_pixels
from mmrag.errors import ImageError

edges = st.integers(1, 90)


@settings(max_examples=scaled(fast=15, full=120))
@given(width=edges, height=edges, side=st.integers(1, 64))
def test_any_shape_becomes_a_square(width, height, side):
    pixels = image_pixels(Image.new("RGB", (width, height), "red"), side)
    assert pixels.shape == (3, side, side)
    assert len(pixels.flatten(1).unique(dim=1)[0]) == 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_any_mode_becomes_three_channels(mode):
    assert image_pixels(Image.new(mode, (50, 70)), side=32).shape == (3, 32, 32)


def test_black_and_white_are_normalized_by_clips_statistics():
    black, white = (image_pixels(Image.new("RGB", (8, 8), c), 8) for c in ("black", "white"))
    assert np.allclose(black[:, 0, 0], [-1.79226, -1.75210, -1.48022], atol=1e-5)
    assert np.allclose(white[:, 0, 0], [1.93034, 2.07488, 2.14590], atol=1e-5)


def test_an_image_of_the_right_size_is_not_resampled():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    pixels = image_pixels(Image.fromarray(noise), 16)
    back = pixels.numpy().transpose(1, 2, 0) * processing._STD + processing._MEAN
    assert np.array_equal((back * 255).round().astype(np.uint8), noise)


@pytest.mark.parametrize(("longer", "offset"), [(225, 0), (227, 2), (229, 2), (231, 4)])
def test_the_crop_rounds_halves_to_the_even_neighbor(longer, offset):
    columns = np.tile(np.arange(longer, dtype=np.uint8), (224, 1))
    square = processing._center_crop(Image.fromarray(columns), 224)
    assert np.asarray(square)[0, 0] == offset


def test_the_long_edge_is_truncated():
    assert processing._resize(Image.new("L", (150, 101)), 224).size == (332, 224)  # 332.67


def test_a_thin_strip_is_refused():
    image_pixels(Image.new("L", (1, 100)), 8)
    with pytest.raises(ImageError, match=r"1 x 101 .*100 : 1.*crop it first"):
        image_pixels(Image.new("L", (1, 101)), 8)
