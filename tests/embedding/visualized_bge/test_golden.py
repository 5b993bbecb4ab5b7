"""Golden parity: vectors equal those of the original implementation within 1e-5, for both families.

1e-5 is the largest tolerance that still detects a wrong LayerNorm eps.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmrag.embedding.visualized_bge.processing import image_pixels

TOLERANCE = 1e-5


@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_every_case_has_its_golden_vector(golden, batch_size):
    assert golden.error(golden.encoder(), batch_size) <= TOLERANCE


def test_batch_composition_and_order_change_nothing(golden):
    encoder = golden.encoder()
    order = np.random.default_rng(0).permutation(len(golden.items))
    vectors = encoder.encode([golden.items[place] for place in order], batch_size=8)
    assert np.abs(vectors - golden.expected[order]).max() <= TOLERANCE


def test_an_image_alone_needs_no_query(golden):
    alone = [
        place
        for place, (text, image) in enumerate(zip(golden.texts, golden.images, strict=True))
        if image is not None and not text
    ]
    vectors = golden.encoder().encode([golden.images[place] for place in alone])
    assert len(alone) == 6
    assert np.abs(vectors - golden.expected[alone]).max() <= TOLERANCE


def test_texts_become_the_golden_token_ids(golden):
    requests = golden.encoder()._tokenizer.tokenize(golden.items)
    assert [list(request.token_ids) for request in requests] == golden.input_ids


def test_images_become_the_golden_pixels(golden):
    pixels = np.load(golden.folder / "preprocessed.npz")
    assert len(pixels.files) == 2
    for name in pixels.files:
        with Image.open(golden.folder / "images" / name) as image:
            ours = image_pixels(image, side=224).numpy()
        assert np.abs(ours - pixels[name]).max() <= 1e-6
