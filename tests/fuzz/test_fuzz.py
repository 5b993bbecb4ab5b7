"""Every fuzz target runs: on its own seeds everywhere, and guided by coverage where atheris is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from run_profile import scaled

from tests.fuzz.targets import TARGETS, Target

RUNS = scaled(fast=4_000, full=200_000)


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_parsed(name):
    for seed in TARGETS[name].seeds:
        TARGETS[name].read(seed)


def test_an_unexpected_exception_is_raised():
    target = Target(lambda _: 1 // 0, ValueError, ())
    with pytest.raises(ZeroDivisionError):
        target(b"")


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: it has wheels for Linux on x86-64, see pyproject.toml",
)
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_guided_by_coverage_finds_no_crash(name, tmp_path):
    script = Path(__file__).with_name("run.py")
    options = [f"-runs={RUNS}", "-seed=1", "-max_len=4096", "-rss_limit_mb=4096"]
    done = subprocess.run(
        [sys.executable, script, name, *options, f"-artifact_prefix={tmp_path}/"],
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr
