"""Any image is cut into at most num_crops crops, and its tokens are counted in advance."""

from __future__ import annotations

import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from run_profile import scaled

from mmrag.errors import CheckpointError, ImageError
from mmrag.vision.phi3.configuration import Phi3VisionConfig
from mmrag.vision.phi3.image_processing import Phi3ImageProcessor

PUBLISHED = Phi3ImageProcessor(crop_size=336, tokens_per_side=12)
SMALL = Phi3ImageProcessor(crop_size=32, tokens_per_side=2)
sides = st.integers(min_value=1, max_value=300)


@pytest.mark.parametrize(
    ("size", "few", "many"),
    [
        ((640, 480), 757, 1921),
        ((1000, 1000), 757, 2509),
        ((1280, 720), 757, 2353),
        ((1920, 1080), 757, 2353),
        ((2000, 500), 745, 2485),
        ((300, 640), 469, 2377),
        ((500, 2000), 781, 2557),
    ],
)
def test_tokens_are_those_the_published_processor_counts(size, few, many):
    """Measured with the published code."""
    assert PUBLISHED.num_tokens(*size, 4) == few
    assert PUBLISHED.num_tokens(*size, 16) == many


@settings(max_examples=scaled(fast=20, full=60))
@given(width=sides, height=sides, num_crops=st.integers(1, 16))
def test_crops_are_limited_and_tokens_are_counted(width, height, num_crops):
    crops = SMALL.preprocess(PIL.Image.new("RGB", (width, height), "teal"), num_crops)
    rows, columns = crops.height // 32, crops.width // 32
    assert len(crops.pixels) == rows * columns + 1 <= num_crops + 1
    tokens = (rows * columns + 1) * 4 + 1 + (rows + 1) * 2
    assert SMALL.num_tokens(width, height, num_crops) == tokens


@settings(max_examples=scaled(fast=20, full=40))
@given(width=sides, height=sides, num_crops=st.integers(1, 16))
def test_a_transposed_image_is_resized_likewise(width, height, num_crops):
    wide, tall = SMALL.resized_size(width, height, num_crops)
    assert SMALL.resized_size(height, width, num_crops) == (tall, wide)


def test_crops_are_in_row_order():
    """Each color is where it was."""
    image = PIL.Image.new("RGB", (64, 64))
    for number, color in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]):
        x, y = 32 * (number % 2), 32 * (number // 2)
        image.paste(color, (x, y, x + 32, y + 32))
    rule = Phi3ImageProcessor(crop_size=32, tokens_per_side=2, num_crops=4, mean=(0, 0, 0), std=(1, 1, 1))
    centers = rule.preprocess(image).pixels[1:, :, 16, 16] * 255
    expected = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
    torch.testing.assert_close(centers.round().int(), expected.int())


def test_an_image_one_pixel_high_keeps_its_pixel():
    assert PUBLISHED.resized_size(10_000, 1) == (5376, 1)


def test_num_crops_below_one_is_refused():
    with pytest.raises(ImageError, match="at least one crop, not 0"):
        SMALL.preprocess(PIL.Image.new("RGB", (9, 9)), 0)


def test_without_vision_config_the_tower_is_the_published_one():
    config = Phi3VisionConfig({"max_position_embeddings": 131072})
    assert (config.crop_size, config.tokens_per_side, config.vision_config.num_hidden_layers) == (336, 12, 24)
    assert config.vision_config.hidden_act == "quick_gelu"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"vision_config": {"image_size": 100, "patch_size": 14}}, "crops of 100 pixels"),
        ({"rope_scaling": {"type": "yarn"}}, "'yarn' is not Phi-3 Vision's"),
        ({"hidden_size": "wide"}, "not a configuration of Phi-3 Vision"),
        ({"rope_scaling": {"type": "su"}}, "not a configuration of Phi-3 Vision"),
    ],
)
def test_impossible_sizes_are_refused(change, fault):
    with pytest.raises(CheckpointError, match=fault):
        Phi3VisionConfig({"max_position_embeddings": 64} | change)
