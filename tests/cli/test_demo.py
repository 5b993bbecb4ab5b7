"""`mmrag demo` writes images, an index, contact sheets, a page and metrics, and does nothing twice."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

import pytest
from sample_catalog import ENCODER

from mmrag.cli.console import progress
from mmrag.cli.demo import run_demo
from mmrag.errors import CheckpointError
from mmrag.settings import read_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("my demo")


@pytest.fixture
def demo(mmrag, folder, monkeypatch):
    """Runs the demo over 288 images with an untrained encoder."""
    monkeypatch.setattr("mmrag.cli.demo.run_demo", partial(run_demo, images=288))
    return lambda *words: mmrag("demo", "--folder", folder, "--queries", 12, "--model", ENCODER, "--no-rerank", *words)


def test_the_first_run_writes_everything(demo, folder):
    ran = demo("--json")
    assert "288 new" in ran.json["indexed"]
    assert "1 skipped" in ran.json["indexed"]  # the list is no image
    assert len(list((folder / "catalog").glob("*.jpg"))) == 288
    searches, sheets = ran.json["searches"], ran.json["sheets"]
    assert searches[0]["query"]["text"] == "phone case with this"
    assert all(len(found["results"]) == 9 for found in searches)
    assert all(Path(sheet).is_file() for sheet in sheets)
    assert len(sheets) == len(searches) == 7
    assert Path(ran.json["page"]).read_text().count('<section class="search"') == 7
    figures = ran.json["figures"]
    assert list(figures) == ["hit@1", "hit@9", "nDCG@9"]
    assert all(0 <= figure["retrieved"] <= 1 and figure["reranked"] is None for figure in figures.values())
    assert set(ran.json["timings_ms"]) == {"encode", "search"}


def test_the_second_run_draws_and_embeds_nothing_and_its_command_can_be_typed(demo, folder, mmrag):
    figures = demo("--json").json["figures"]
    drawn = {file: file.stat().st_mtime_ns for file in (folder / "catalog").iterdir()}
    second = demo()
    assert {file: file.stat().st_mtime_ns for file in (folder / "catalog").iterdir()} == drawn
    assert "288 unchanged" in second.out
    assert "new" not in second.out.splitlines()[0]
    assert all(f"{figure['retrieved']:.3f}" in second.out for figure in figures.values())
    _, search, *words = shlex.split(second.out.partition("search it yourself: ")[2])
    found = mmrag(search, *words)
    assert found.code == 0
    assert "mug" in found.out


def test_a_missing_vision_llm_is_reported_before_anything_is_drawn(tmp_path):
    settings = read_settings(db=str(tmp_path / "demo.db"), model=ENCODER, reranker="nowhere")
    with pytest.raises(CheckpointError, match="nowhere"):
        run_demo(tmp_path, settings, progress, images=288, n_queries=12)
    assert not (tmp_path / "catalog").exists()


def test_ctrl_c_says_how_to_continue(demo, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mmrag.cli.demo.plan_catalog", interrupt)
    ran = demo()
    assert ran.code == 130
    assert "the same command goes on" in ran.err
