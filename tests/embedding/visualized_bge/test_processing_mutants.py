"""Every mutant of the image preprocessing exceeds the golden tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmrag.embedding.visualized_bge import processing

TOLERANCE = 1e-5


def rgb_before_resize(patch, *_):
    resize = processing._resize
    patch.setattr(processing, "_resize", lambda image, side: resize(image.convert("RGB"), side))


def alpha_on_white(patch, *_):
    center = processing._center_crop

    def on_white(image, side):
        image = center(image, side)
        if image.mode != "RGBA":
            return image
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)

    patch.setattr(processing, "_center_crop", on_white)


def squeezed_instead_of_cropped(patch, *_):
    patch.setattr(processing, "_resize", lambda image, side: image.resize((side, side), Image.Resampling.BICUBIC))


def crop_one_pixel_off(patch, *_):
    center = processing._center_crop
    patch.setattr(
        processing,
        "_center_crop",
        lambda image, side: center(image.transform(image.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 1)), side),
    )


def crop_rounded_half_up(patch, *_):
    def center(image, side):
        left, top = ((size - side + 1) // 2 for size in image.size)
        return image.crop((left, top, left + side, top + side))

    patch.setattr(processing, "_center_crop", center)


def long_edge_rounded(patch, *_):
    def resize(image, side):
        scale = side / min(image.size)
        size = tuple(round(edge * scale) for edge in image.size)
        return image.resize(size, Image.Resampling.BICUBIC)

    patch.setattr(processing, "_resize", resize)


def statistics_of_imagenet(patch, *_):
    patch.setattr(processing, "_MEAN", np.array((0.485, 0.456, 0.406), np.float32))


MUTANTS = [
    rgb_before_resize,
    alpha_on_white,
    squeezed_instead_of_cropped,
    crop_one_pixel_off,
    crop_rounded_half_up,
    long_edge_rounded,
    statistics_of_imagenet,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_exceeds_the_tolerance(golden, mutant, monkeypatch):
    assert golden.error_with(mutant, monkeypatch) > TOLERANCE
