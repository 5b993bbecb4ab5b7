"""Every command runs in an empty folder of its own; an indexed catalog of six images is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.cli.main import main


@pytest.fixture(autouse=True)
def in_own_folder(own_folder):
    """Every test runs in a folder of its own."""


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Path:
    """A folder with six images, a text file, and a table that names the images."""
    return write_sample_catalog(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def db(shop, tmp_path_factory) -> Path:
    """An index of the shop's table, to be read only."""
    db = tmp_path_factory.mktemp("db") / "shop.db"
    with pytest.raises(SystemExit) as leaving:
        main(["index", str(shop / "shop.jsonl"), "--into", str(db), "--model", ENCODER, "--json"])
    assert leaving.value.code == 0
    return db


@pytest.fixture
def search(mmrag, db):
    """Searches the shop without a vision LLM, unless `--rerank` is given."""

    def run(*words: object):
        how = () if "--rerank" in words else ("--no-rerank",)
        return mmrag("search", *words, "--db", db, "--model", ENCODER, *how)

    return run
