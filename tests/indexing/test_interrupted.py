"""Whatever happens to a folder and a table, wherever runs are cut off: the next ends right."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from PIL import Image
from run_profile import scaled

from mmrag.indexing import Folder, ImageEntry, ImageRecord, index_source, pipeline
from mmrag.indexing.manifest import Manifest
from mmrag.testing import toy_encoder

NAMES = ("a.png", "b.png", "deep/c.png", "deep/d.png", "e.png")
COLORS = ("red", "green", "blue", "pink")


class CutOffError(Exception):
    """Stands for kill -9: nothing after it happens."""


class FragileStore:
    """Fails at a given call, before or after its effect, as a killed process would."""

    def __init__(self):
        self.rows: dict[str, tuple[ImageRecord, list[float]]] = {}
        self.calls_left: int | None = None

    def to_row(self, record):
        return record

    def upsert(self, rows, vectors):
        pairs = list(zip(rows, vectors, strict=True))
        self._happen(lambda: self.rows.update({record.id: (record, vector) for record, vector in pairs}))

    def delete(self, ids):
        self._happen(lambda: [self.rows.pop(image, None) for image in ids])

    def vectors(self, ids):
        self._happen(lambda: None)
        return {image: self.rows[image][1] for image in ids if image in self.rows}

    def _happen(self, effect) -> None:
        for step in (lambda: None, effect):
            if self.calls_left == 0:
                raise CutOffError
            if self.calls_left is not None:
                self.calls_left -= 1
            step()


@dataclass
class Table:
    """Rows of paths and prices, in the order they were written."""

    rows: list[ImageEntry]
    name: str = "/shop.csv"

    def __iter__(self):
        return iter(self.rows)


class ShopUnderWay(RuleBasedStateMachine):
    """Edits a folder and a table at random; indexes now and then, sometimes not to the end."""

    @initialize()
    def start(self):
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "photos"
        (self.folder / "deep").mkdir(parents=True)
        self.table = Table([])
        self.store = FragileStore()
        self.clock = 1_600_000_000_000_000_000
        for name, color in zip(NAMES, (*COLORS, "red"), strict=True):
            self.save(name, color)
            self.write_row(name, 1)

    def teardown(self):
        shutil.rmtree(self.home)

    @rule(name=st.sampled_from(NAMES), color=st.sampled_from(COLORS))
    def save(self, name, color):
        Image.new("RGB", (4, 4), color).save(self.folder / name)
        self.clock += 1
        os.utime(self.folder / name, ns=(self.clock, self.clock))

    @rule(name=st.sampled_from(NAMES))
    def spoil(self, name):
        (self.folder / name).write_text("no image")

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def move(self, old, new):
        if (self.folder / old).exists():
            (self.folder / old).rename(self.folder / new)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name):
        (self.folder / name).unlink(missing_ok=True)

    @rule(name=st.sampled_from(NAMES), price=st.integers(1, 3))
    def write_row(self, name, price):
        self.table.rows.insert(0, ImageEntry(str(self.folder / name), {"price": price}))

    @rule(name=st.sampled_from(NAMES))
    def strike_rows(self, name):
        self.table.rows = [row for row in self.table.rows if not row.path.endswith(name)]

    @rule(
        calls=st.integers(0, 6),
        sync=st.booleans(),
        sources=st.sampled_from([["folder"], ["table"], ["folder", "table"], ["table", "folder"]]),
    )
    def index_and_be_cut_off(self, calls, sync, sources=("folder",)):
        self.store.calls_left = calls
        try:
            self.index(self.store, "m.sqlite", sync, sources)
        except CutOffError:
            pass
        finally:
            self.store.calls_left = None

    @rule()
    def index_to_the_end(self):
        self.index(self.store, "m.sqlite", sync=True)
        fresh = FragileStore()
        self.index(fresh, ":memory:", sync=True)
        assert self.store.rows == fresh.rows

    def index(self, store: FragileStore, manifest: str, sync: bool, sources=("folder", "table")) -> None:
        encoder = toy_encoder()
        path = Path(manifest) if manifest == ":memory:" else self.home / manifest
        with Manifest(path, "c", "toy", encoder.info.dim) as record:
            for source in sources:
                what = Folder(self.folder) if source == "folder" else self.table
                index_source(what, record, store, lambda i: encoder.encode(i).tolist(), sync=sync)


TestShopUnderWay = ShopUnderWay.TestCase
TestShopUnderWay.settings = settings(max_examples=scaled(fast=25, full=100), stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("calls", range(14))
def test_a_run_cut_off_anywhere_is_completed_though_no_file_changed_since(calls, monkeypatch):
    monkeypatch.setattr(pipeline, "BATCH", 2)
    machine = ShopUnderWay()
    machine.start()
    machine.index_to_the_end()
    machine.move("a.png", "b.png")
    machine.save("e.png", "white")
    machine.index_and_be_cut_off(calls, sync=True)
    machine.index_to_the_end()
    machine.teardown()
