"""Specimens look as users' images look to the models, and show no held-out pair."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from examples.train_demo_models.augment import encoder_pixels, jittered
from examples.train_demo_models.specimens import EYE, SWATCH, draw_specimens
from mmrag.datasets import HELD_OUT_PAIRS, PATTERNS, PRODUCTS
from mmrag.embedding.visualized_bge.processing import image_pixels


def test_no_specimen_shows_a_held_out_pair(specimens):
    shown = specimens.shown
    pairs = {
        (PRODUCTS[product], PATTERNS[pattern])
        for product, pattern in zip(shown.product, shown.pattern, strict=True)
        if product != SWATCH
    }
    assert len(pairs) > 80
    assert not pairs & HELD_OUT_PAIRS


def test_an_interrupted_drawing_goes_on(tmp_path, specimens):
    folder = tmp_path / "specimens"
    draw_specimens(folder, count=400, seed=3)
    (only,) = folder.glob("seed3-*.npz")
    written = only.stat().st_mtime_ns
    again = draw_specimens(folder, count=400, seed=3)
    assert only.stat().st_mtime_ns == written
    assert np.array_equal(again.eyes, specimens.eyes)


def test_the_encoder_s_pixels_are_those_of_its_preprocessing(specimens):
    eyes = specimens.eyes[:4]
    expected = torch.stack([image_pixels(Image.fromarray(eye), EYE) for eye in eyes])
    pixels = encoder_pixels(torch.from_numpy(eyes).permute(0, 3, 1, 2).float())
    assert (pixels - expected).abs().max() < 1e-5


def test_jitter_follows_its_generator(specimens):
    first = jittered(specimens.eyes[:8], np.random.default_rng(1), shift=3)
    again = jittered(specimens.eyes[:8], np.random.default_rng(1), shift=3)
    other = jittered(specimens.eyes[:8], np.random.default_rng(2), shift=3)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
