"""Catalogs: deterministic by seed, even over all pairs, and read back as written."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter

import pytest
from PIL import Image

from mmrag.datasets import COLORS, PATTERNS, PRODUCTS, colors_of, plan_catalog, read_catalog, write_catalog
from mmrag.errors import ImageError, MMRagError


def fingerprints(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_nine_hundred_items_hold_all_pairs_evenly():
    pairs = Counter((item.product, item.pattern) for item in plan_catalog(900))
    assert len(pairs) == len(PRODUCTS) * len(PATTERNS) == 144
    assert set(pairs.values()) == {6, 7}


def test_items_are_plausible():
    items = plan_catalog(900)
    assert len({item.id for item in items}) == len({item.file for item in items}) == 900
    assert {item.color for item in items} == set(COLORS)
    for item in items:
        assert item.color in colors_of(item.pattern)
        assert all(name in item.title.lower() for name in (item.product, item.pattern, item.color))
        assert 4 <= item.price <= 150


def test_another_seed_gives_another_catalog():
    assert plan_catalog(50, seed=1) == plan_catalog(50, seed=1)
    assert plan_catalog(50, seed=1) != plan_catalog(50, seed=2)


def test_a_catalog_reads_back_as_written(tmp_path):
    items = write_catalog(tmp_path / "shop", n=12, seed=3)
    assert read_catalog(tmp_path / "shop") == items == plan_catalog(12, seed=3)
    for item in items:
        with Image.open(tmp_path / "shop" / item.file) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (192, 192))


def test_prices_have_two_decimals(tmp_path):
    write_catalog(tmp_path, n=12)
    lines = (tmp_path / "catalog.jsonl").read_text().splitlines()
    assert all(re.search(r'"price": \d+\.\d\d}$', line) for line in lines)


def test_one_worker_and_several_write_the_same_bytes(tmp_path):
    write_catalog(tmp_path / "one", n=82, workers=1)
    write_catalog(tmp_path / "several", n=82, workers=3)
    assert fingerprints(tmp_path / "one") == fingerprints(tmp_path / "several")


def test_on_progress_is_called_for_every_image(tmp_path):
    calls: list[tuple[int, int]] = []
    write_catalog(tmp_path, n=82, workers=2, on_progress=lambda *step: calls.append(step))
    assert calls == [(done, 82) for done in range(1, 83)]


def test_a_script_without_a_main_guard_can_write_a_catalog(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from mmrag.datasets import write_catalog\n"
        f"print(len(write_catalog({str(tmp_path / 'shop')!r}, n=82, workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "82\n"


def test_an_unwritable_file_raises_image_error_with_its_name(tmp_path):
    (tmp_path / "item-0000.jpg").mkdir()
    with pytest.raises(ImageError, match=r"item-0000\.jpg.*can be written"):
        write_catalog(tmp_path, n=1)


@pytest.mark.parametrize("content", [None, "{", '{"id": "item-0000"}'])
def test_reading_a_missing_or_damaged_catalog_raises_with_the_next_step(tmp_path, content):
    if content is not None:
        (tmp_path / "catalog.jsonl").write_text(content)
    with pytest.raises(MMRagError, match="write_catalog"):
        read_catalog(tmp_path)
