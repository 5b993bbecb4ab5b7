"""Any image is cut into no more crops than allowed, and its tokens are known beforehand."""

from __future__ import annotations

import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrag.errors import CheckpointError, ImageError
from mmrag.vision.phi3.configuration import Phi3VisionConfig
from mmrag.vision.phi3.image_processing import CropRule

PUBLISHED = CropRule(side=336, grid=12)
SMALL = CropRule(side=32, grid=2)
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
    """Measured with the published code, see the table in phi3-vision.md."""
    assert PUBLISHED.tokens(*size, 4) == few
    assert PUBLISHED.tokens(*size, 16) == many


@settings(max_examples=60, deadline=None)
@given(width=sides, height=sides, num_crops=st.integers(1, 16))
def test_crops_are_no_more_than_allowed_and_counted_right(width, height, num_crops):
    crops = SMALL.cut(PIL.Image.new("RGB", (width, height), "teal"), num_crops)
    rows, columns = crops.height // 32, crops.width // 32
    assert len(crops.pixels) == rows * columns + 1 <= num_crops + 1
    tokens = (rows * columns + 1) * 4 + 1 + (rows + 1) * 2
    assert SMALL.tokens(width, height, num_crops) == tokens


@settings(max_examples=40, deadline=None)
@given(width=sides, height=sides, num_crops=st.integers(1, 16))
def test_a_image_turned_on_its_diagonal_is_cut_likewise(width, height, num_crops):
    wide, tall = SMALL.size(width, height, num_crops)
    assert SMALL.size(height, width, num_crops) == (tall, wide)


def test_crops_put_together_are_the_padded_image():
    """Row by row: each color is where it was."""
    image = PIL.Image.new("RGB", (64, 64))
    for number, color in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]):
        x, y = 32 * (number % 2), 32 * (number // 2)
        image.paste(color, (x, y, x + 32, y + 32))
    rule = CropRule(side=32, grid=2, num_crops=4, mean=(0, 0, 0), std=(1, 1, 1))
    centers = rule.cut(image).pixels[1:, :, 16, 16] * 255
    expected = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
    torch.testing.assert_close(centers.round().int(), expected.int())


def test_a_thread_of_a_image_keeps_a_pixel():
    assert PUBLISHED.size(10_000, 1) == (5376, 1)


def test_no_crop_is_no_image():
    with pytest.raises(ImageError, match="at least one crop, not 0"):
        SMALL.cut(PIL.Image.new("RGB", (9, 9)), 0)


def test_a_file_without_a_tower_has_the_published_one():
    config = Phi3VisionConfig({"max_position_embeddings": 131072})
    assert (config.crop, config.grid, config.tower.num_hidden_layers) == (336, 12, 24)
    assert config.tower.hidden_act == "quick_gelu"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"vision_config": {"image_size": 100, "patch_size": 14}}, "crops of 100 pixels"),
        ({"rope_scaling": {"type": "yarn"}}, "'yarn' is not Phi-3 Vision's"),
        ({"hidden_size": "wide"}, "no configuration of Phi-3 Vision"),
        ({"rope_scaling": {"type": "su"}}, "no configuration of Phi-3 Vision"),
    ],
)
def test_impossible_sizes_are_refused(change, fault):
    with pytest.raises(CheckpointError, match=fault):
        Phi3VisionConfig({"max_position_embeddings": 64} | change)
