"""The command line runs in an empty folder, over a shop of six images."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_catalog import write_sample_catalog


@pytest.fixture(autouse=True)
def in_own_folder(own_folder):
    """Every test runs in a folder of its own."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A folder with six images, a text file, and a table that names the images."""
    return write_sample_catalog(tmp_path_factory.mktemp("shop"))
