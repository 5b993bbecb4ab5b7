"""Mutants of image preprocessing: the golden data must detect each."""

from __future__ import annotations

from dataclasses import replace

import PIL.Image
import pytest
from PIL.Image import Resampling, Transpose
from torch import nn

from mmrag.vision.phi3 import image_processing as crops_module
from mmrag.vision.phi3.image_processing import Phi3ImageProcessor


def small_images_not_enlarged(model, patch):
    patch.setattr(Phi3ImageProcessor, "resized_size", lambda self, width, height, num_crops=None: (336, 336))


def height_rounded(model, patch):
    size = Phi3ImageProcessor.resized_size

    def rounded(self, width, height, num_crops=None):
        wide, tall = size(self, width, height, num_crops)
        return (wide, round(wide * height / width)) if width >= height else (wide, tall)

    patch.setattr(Phi3ImageProcessor, "resized_size", rounded)


def resized_by(filter_):
    resize = PIL.Image.Image.resize

    def otherwise(model, patch):
        patch.setattr(PIL.Image.Image, "resize", lambda self, size, _filter: resize(self, size, filter_))

    otherwise.__name__ = f"resized_{filter_.name.lower()}"
    return otherwise


def padded_with_black(model, patch):
    patch.setattr(crops_module, "_WHITE", (0, 0, 0))


def padded_at_the_bottom_only(model, patch):
    paste = PIL.Image.Image.paste
    patch.setattr(PIL.Image.Image, "paste", lambda self, image, _corner: paste(self, image, (0, 0)))


def portraits_rotated(model, patch):
    transpose = PIL.Image.Image.transpose

    def rotate(self, method):
        return transpose(self, Transpose.ROTATE_90 if self.width < self.height else method)

    patch.setattr(PIL.Image.Image, "transpose", rotate)


def portraits_left_standing(model, patch):
    cut = Phi3ImageProcessor.preprocess

    def standing(self, image, num_crops=None):
        square = image.resize((max(image.size), max(image.size)))
        return cut(self, square if image.width < image.height else image, num_crops)

    patch.setattr(Phi3ImageProcessor, "preprocess", standing)


def transparency_over_white(model, patch):
    convert = PIL.Image.Image.convert

    def flattened(self, mode):
        if self.mode != "RGBA":
            return convert(self, mode)
        white = PIL.Image.new("RGBA", self.size, "white")
        return convert(PIL.Image.alpha_composite(white, self), mode)

    patch.setattr(PIL.Image.Image, "convert", flattened)


def whole_view_by(**how):
    interpolate = nn.functional.interpolate

    def otherwise(model, patch):
        patch.setattr(
            nn.functional,
            "interpolate",
            lambda pixels, size, mode: interpolate(pixels, size=size, **({"mode": mode} | how)),
        )

    otherwise.__name__ = "whole_view_" + "_".join(f"{k}_{v}" for k, v in how.items())
    return otherwise


def colors_in_reverse(model, patch):
    rule = model.processor.image_processor
    model.processor.image_processor = replace(rule, mean=rule.mean[::-1], std=rule.std[::-1])


MUTANTS = [
    (small_images_not_enlarged, "small_4"),
    (height_rounded, "small_4"),
    (resized_by(Resampling.NEAREST), "small_4"),
    (resized_by(Resampling.BICUBIC), "small_4"),
    (padded_with_black, "landscape_16"),
    (padded_at_the_bottom_only, "landscape_16"),
    (portraits_rotated, "portrait_4"),
    (portraits_left_standing, "portrait_4"),
    (transparency_over_white, "multi_turn_4"),
    (whole_view_by(mode="bilinear"), "small_4"),
    (whole_view_by(antialias=True), "small_4"),
    (colors_in_reverse, "small_4"),
]


@pytest.mark.parametrize(("break_it", "case"), [pytest.param(*pair, id=pair[0].__name__) for pair in MUTANTS])
def test_the_golden_data_detect_the_image_mutant(break_it, case, mutant, faults, monkeypatch):
    break_it(mutant, monkeypatch)
    assert faults(mutant, case) != []
