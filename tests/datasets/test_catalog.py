"""A catalogue is the same for the same seed, holds all pairs evenly, and reads back as written."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter

import pytest
from PIL import Image

from mmrag.datasets import COLOURS, PATTERNS, PRODUCTS, colours_of, plan_catalogue, read_catalogue, write_catalogue
from mmrag.errors import ImageError, MMRagError


def fingerprints(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_nine_hundred_items_hold_all_pairs_evenly():
    pairs = Counter((item.product, item.pattern) for item in plan_catalogue(900))
    assert len(pairs) == len(PRODUCTS) * len(PATTERNS) == 144
    assert set(pairs.values()) == {6, 7}


def test_items_are_plausible():
    items = plan_catalogue(900)
    assert len({item.id for item in items}) == len({item.file for item in items}) == 900
    assert {item.colour for item in items} == set(COLOURS)
    for item in items:
        assert item.colour in colours_of(item.pattern)
        assert all(name in item.title.lower() for name in (item.product, item.pattern, item.colour))
        assert 4 <= item.price <= 150


def test_another_seed_gives_another_catalogue():
    assert plan_catalogue(50, seed=1) == plan_catalogue(50, seed=1)
    assert plan_catalogue(50, seed=1) != plan_catalogue(50, seed=2)


def test_a_catalogue_reads_back_as_written(tmp_path):
    items = write_catalogue(tmp_path / "shop", n=12, seed=3)
    assert read_catalogue(tmp_path / "shop") == items == plan_catalogue(12, seed=3)
    for item in items:
        with Image.open(tmp_path / "shop" / item.file) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (192, 192))


def test_prices_have_two_decimals(tmp_path):
    write_catalogue(tmp_path, n=12)
    lines = (tmp_path / "catalogue.jsonl").read_text().splitlines()
    assert all(re.search(r'"price": \d+\.\d\d}$', line) for line in lines)


def test_one_process_and_several_write_the_same_bytes(tmp_path):
    write_catalogue(tmp_path / "one", n=82, workers=1)
    write_catalogue(tmp_path / "several", n=82, workers=3)
    assert fingerprints(tmp_path / "one") == fingerprints(tmp_path / "several")


def test_progress_counts_every_picture(tmp_path):
    told: list[tuple[int, int]] = []
    write_catalogue(tmp_path, n=82, workers=2, on_progress=lambda *step: told.append(step))
    assert told == [(done, 82) for done in range(1, 83)]


def test_a_script_without_a_main_guard_can_write_a_catalogue(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from mmrag.datasets import write_catalogue\n"
        f"print(len(write_catalogue({str(tmp_path / 'shop')!r}, n=82, workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "82\n"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "item-0000.jpg").mkdir()
    with pytest.raises(ImageError, match=r"item-0000\.jpg.*can be written"):
        write_catalogue(tmp_path, n=1)


@pytest.mark.parametrize("content", [None, "{", '{"id": "item-0000"}'])
def test_what_is_no_catalogue_is_an_error_with_the_next_step(tmp_path, content):
    if content is not None:
        (tmp_path / "catalogue.jsonl").write_text(content)
    with pytest.raises(MMRagError, match="write_catalogue"):
        read_catalogue(tmp_path)
