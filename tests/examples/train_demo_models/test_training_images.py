"""Training images are preprocessed as users' images are, and show no held-out pair."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from examples.train_demo_models.augment import encoder_pixels, jittered
from examples.train_demo_models.training_images import ENCODER_SIZE, HELD_OUT_PAIRS, SWATCH, draw_training_images
from mmrag.datasets import PATTERNS, PRODUCTS
from mmrag.embedding.visualized_bge.processing import image_pixels


def test_twenty_held_out_pairs_cover_every_product_and_pattern():
    assert len(HELD_OUT_PAIRS) == 20
    assert {product for product, _ in HELD_OUT_PAIRS} == set(PRODUCTS)
    assert {pattern for _, pattern in HELD_OUT_PAIRS} == set(PATTERNS)


def test_the_leopard_phone_case_of_every_example_is_not_held_out():
    assert ("phone case", "leopard") not in HELD_OUT_PAIRS


def test_no_training_image_shows_a_held_out_pair(training_images):
    shown = training_images.attributes
    pairs = {
        (PRODUCTS[product], PATTERNS[pattern])
        for product, pattern in zip(shown.product, shown.pattern, strict=True)
        if product != SWATCH
    }
    assert len(pairs) > 80
    assert not pairs & HELD_OUT_PAIRS


def test_an_interrupted_drawing_goes_on(tmp_path, training_images):
    folder = tmp_path / "training_images"
    draw_training_images(folder, count=400, seed=3)
    (only,) = folder.glob("seed3-*.npz")
    written = only.stat().st_mtime_ns
    again = draw_training_images(folder, count=400, seed=3)
    assert only.stat().st_mtime_ns == written
    assert np.array_equal(again.encoder_images, training_images.encoder_images)


def test_the_encoder_s_pixels_are_those_of_its_preprocessing(training_images):
    encoder_images = training_images.encoder_images[:4]
    expected = torch.stack([image_pixels(Image.fromarray(eye), ENCODER_SIZE) for eye in encoder_images])
    pixels = encoder_pixels(torch.from_numpy(encoder_images).permute(0, 3, 1, 2).float())
    assert (pixels - expected).abs().max() < 1e-5


def test_jitter_follows_its_generator(training_images):
    first = jittered(training_images.encoder_images[:8], np.random.default_rng(1), shift=3)
    again = jittered(training_images.encoder_images[:8], np.random.default_rng(1), shift=3)
    other = jittered(training_images.encoder_images[:8], np.random.default_rng(2), shift=3)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
