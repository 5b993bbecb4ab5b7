"""A few hundred training images, drawn once."""

from __future__ import annotations

import pytest

from examples.train_demo_models.training_images import draw_training_images


@pytest.fixture(scope="session")
def training_images(tmp_path_factory):
    return draw_training_images(tmp_path_factory.mktemp("training_images"), count=400, seed=3)
