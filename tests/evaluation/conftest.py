"""A shop of six dots, indexed by an untrained encoder, and queries judged by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.search import ImageSearcher
from mmrag.settings import read_settings


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Six images: red.png, green.png, blue.png, orange.png, purple.png, black.png."""
    return write_sample_catalog(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def searcher(shop, tmp_path_factory):
    """An index of the shop; `top` is 4, so that the front is not the whole."""
    db = tmp_path_factory.mktemp("db") / "shop.db"
    with ImageSearcher(read_settings(db=str(db), model=ENCODER, top=4)) as searcher:
        searcher.index.add_folder(shop)
        yield searcher


@pytest.fixture
def write_dataset(tmp_path, shop):
    """Writes a folder of judged queries: ids with their text, image and grades."""

    def write(**queries: tuple[str, str | None, dict[str, int]]) -> Path:
        folder = tmp_path / "queries"
        folder.mkdir(exist_ok=True)
        records = [
            {"id": id, "kind": id.split("_")[0], "text": text, "image": str(shop / name) if name else None}
            for id, (text, name, _) in queries.items()
        ]
        (folder / "queries.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        lines = [f"{id} 0 {name} {grade}\n" for id, (_, _, grades) in queries.items() for name, grade in grades.items()]
        (folder / "qrels.txt").write_text("".join(lines))
        return folder

    return write
