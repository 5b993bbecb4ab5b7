"""The demo leaves images, an index, sheets, a page and figures, and does nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_catalog import ENCODER

from mmrag.cli.console import progress
from mmrag.cli.demo import run_demo
from mmrag.errors import CheckpointError
from mmrag.settings import read_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def run(folder):
    """Runs the demo over 288 images, with an encoder that was taught nothing."""
    settings = read_settings(db=str(folder / "demo.db"), model=ENCODER)
    return lambda: run_demo(folder, settings, progress, images=288, n_queries=12, rerank=False)


def test_the_first_run_leaves_everything_behind(run, folder):
    done = run()
    assert (done.indexed.new, len(done.indexed.skipped)) == (288, 1)  # the list is no image
    assert len(list((folder / "catalog").glob("*.jpg"))) == 288
    assert done.searches[0].query.text == "phone case with this"
    assert all(len(found.results) == 9 for found in done.searches)
    assert all(sheet.is_file() for sheet in done.sheets)
    assert len(done.sheets) == len(done.searches) == 7
    assert done.page.read_text().count('<section class="search"') == 7
    assert [figure.name for figure in done.figures] == ["hit@1", "hit@9", "nDCG@9"]
    assert all(0 <= figure.before <= 1 and figure.after is None for figure in done.figures)
    assert set(done.timings_ms) == {"encode", "search"}


def test_the_second_run_draws_and_embeds_nothing(run, folder):
    first = run()
    drawn = {file: file.stat().st_mtime_ns for file in (folder / "catalog").iterdir()}
    second = run()
    assert {file: file.stat().st_mtime_ns for file in (folder / "catalog").iterdir()} == drawn
    assert (second.indexed.new, second.indexed.embedded) == (0, 0)
    assert second.indexed.unchanged == 288
    assert second.figures == first.figures


def test_a_missing_vision_llm_is_told_before_anything_is_drawn(tmp_path):
    settings = read_settings(db=str(tmp_path / "demo.db"), model=ENCODER, reranker="nowhere")
    with pytest.raises(CheckpointError, match="nowhere"):
        run_demo(tmp_path, settings, progress, images=288, n_queries=12)
    assert not (tmp_path / "catalog").exists()
