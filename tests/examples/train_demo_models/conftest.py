"""A handful of specimens, drawn once."""

from __future__ import annotations

import pytest

from examples.train_demo_models.specimens import draw_specimens


@pytest.fixture(scope="session")
def specimens(tmp_path_factory):
    return draw_specimens(tmp_path_factory.mktemp("specimens"), count=400, seed=3)
