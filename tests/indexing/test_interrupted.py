"""Whatever happens to a folder, wherever a run is cut off: the next ends with the right set."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from PIL import Image

from mmrag.indexing import Picture, index_folder, run
from mmrag.manifest import Manifest
from mmrag.testing import toy_encoder

NAMES = ("a.png", "b.png", "deep/c.png", "deep/d.png", "e.png")
COLOURS = ("red", "green", "blue", "pink")


class CutOffError(Exception):
    """Stands for kill -9: nothing after it happens."""


class FragileShelf:
    """Fails at a given call, before or after its effect, as a killed process would."""

    def __init__(self):
        self.rows: dict[str, tuple[Picture, list[float]]] = {}
        self.calls_left: int | None = None

    def upsert(self, pictures, vectors):
        rows = list(zip(pictures, vectors, strict=True))
        self._happen(lambda: self.rows.update({p.id: (p, v) for p, v in rows}))

    def delete(self, ids):
        self._happen(lambda: [self.rows.pop(picture, None) for picture in ids])

    def vectors(self, ids):
        self._happen(lambda: None)
        return {picture: self.rows[picture][1] for picture in ids if picture in self.rows}

    def _happen(self, effect) -> None:
        for step in (lambda: None, effect):
            if self.calls_left == 0:
                raise CutOffError
            if self.calls_left is not None:
                self.calls_left -= 1
            step()


class FolderUnderWay(RuleBasedStateMachine):
    """Edits a folder at random, and indexes it now and then, sometimes not to the end."""

    @initialize()
    def start(self):
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "photos"
        (self.folder / "deep").mkdir(parents=True)
        self.shelf = FragileShelf()
        self.clock = 1_600_000_000_000_000_000

    def teardown(self):
        shutil.rmtree(self.home)

    @rule(name=st.sampled_from(NAMES), colour=st.sampled_from(COLOURS))
    def save(self, name, colour):
        Image.new("RGB", (4, 4), colour).save(self.folder / name)
        self.clock += 1
        os.utime(self.folder / name, ns=(self.clock, self.clock))

    @rule(name=st.sampled_from(NAMES))
    def spoil(self, name):
        (self.folder / name).write_text("no picture")

    @rule(old=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def move(self, old, new):
        if (self.folder / old).exists():
            (self.folder / old).rename(self.folder / new)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name):
        (self.folder / name).unlink(missing_ok=True)

    @rule(calls=st.integers(0, 6), sync=st.booleans())
    def index_and_be_cut_off(self, calls, sync):
        self.shelf.calls_left = calls
        try:
            self.index(self.shelf, "m.sqlite", sync)
        except CutOffError:
            pass
        finally:
            self.shelf.calls_left = None

    @rule()
    def index_to_the_end(self):
        self.index(self.shelf, "m.sqlite", sync=True)
        fresh = FragileShelf()
        self.index(fresh, ":memory:", sync=True)
        assert self.shelf.rows == fresh.rows

    def index(self, shelf: FragileShelf, manifest: str, sync: bool) -> None:
        encoder = toy_encoder()
        path = Path(manifest) if manifest == ":memory:" else self.home / manifest
        with Manifest(path, "c", "toy", encoder.dim) as record:
            index_folder(
                self.folder, record, shelf, lambda i: encoder.encode(i).tolist(), sync=sync
            )


TestFolderUnderWay = FolderUnderWay.TestCase
TestFolderUnderWay.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("calls", range(14))
def test_a_run_cut_off_anywhere_is_completed_though_no_file_changed_since(calls, monkeypatch):
    monkeypatch.setattr(run, "BATCH", 2)
    machine = FolderUnderWay()
    machine.start()
    for name, colour in zip(NAMES, ("red", "green", "blue", "pink", "red"), strict=True):
        machine.save(name, colour)
    machine.index_to_the_end()
    machine.move("a.png", "b.png")
    machine.save("e.png", "white")
    machine.index_and_be_cut_off(calls, sync=True)
    machine.index_to_the_end()
    machine.teardown()
