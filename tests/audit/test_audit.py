"""The offline audit finds each pin that an advisory covers, and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from tests.audit.run import covers

releases = st.lists(st.integers(0, 9), min_size=1, max_size=3).map(lambda n: ".".join(map(str, n)))


def advisory(number: int, name: str, **affected) -> dict[str, object]:
    return {
        "id": f"PYSEC-{number}",
        "aliases": [f"CVE-{number}"],
        "modified": "2026-01-02T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": name}, **affected}],
    }


def events(*pairs: tuple[str, str]) -> list[dict[str, object]]:
    return [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pairs]}]


@pytest.fixture
def audit(tmp_path):
    """Runs the script over advisories and a lock."""

    def run(lock: str, *found: dict[str, object]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "lock.txt").write_text(lock)
        (tmp_path / "vulns").mkdir()
        for number, one in enumerate(found):
            (tmp_path / "vulns" / f"{number}.json").write_text(json.dumps(one))
        script = Path(__file__).with_name("run.py")
        words = [sys.executable, script, tmp_path / "vulns", tmp_path / "lock.txt"]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    return run


def test_a_pin_that_an_advisory_covers_is_named_with_its_ids(audit):
    ran = audit(
        "Py_YAML==6.0\npillow==12.0.0\nmilvus==2.3\n",
        advisory(1, "py.yaml", versions=["5.9", "6.0"]),
        advisory(2, "Pillow", ranges=events(("introduced", "0"), ("fixed", "10.0"))),
        advisory(3, "pillow", ranges=events(("introduced", "11"), ("last_affected", "12"))),
        advisory(4, "other", versions=["6.0"]),
        advisory(5, "milvus", versions=["2.3"]) | {"withdrawn": "2026-01-03T00:00:00Z"},
    )
    assert ran.stdout.splitlines() == [
        "py-yaml 6.0: PYSEC-1, CVE-1",
        "pillow 12.0.0: PYSEC-3, CVE-3",
        "3 pins, 4 advisories (newest: 2026-01-02), 2 hits",
    ]
    assert ran.returncode == 1


def test_a_clean_lock_leaves_with_0_and_no_advisories_at_all_do_not_count_as_clean(audit):
    assert audit("a==1\n", advisory(1, "a", versions=["2"])).returncode == 0


def test_without_advisories_nothing_is_called_clean(audit):
    assert audit("a==1\n").returncode == 2


@given(version=releases, first=releases, fixed=releases, again=releases)
def test_a_range_covers_what_lies_between_its_events(version, first, fixed, again):
    first, fixed, again = sorted(map(Version, (first, fixed, again)))
    ranges = events(("introduced", f"{first}"), ("fixed", f"{fixed}"), ("introduced", f"{again}"))
    version = Version(version)
    inside = first <= version < fixed or version >= again
    assert covers({"ranges": ranges}, version) == inside
