"""Fuzz a reader with atheris, guided by coverage, until it breaks or is stopped.

python tests/fuzz/run.py {image|query|answer|filter} [-max_total_time=60] [-runs=100000] …
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.append(str(Path(__file__).parents[1] / "support"))


def main() -> None:
    """Fuzz the target named by the first word; the others are libFuzzer's options."""
    program, name, *options = sys.argv
    with atheris.instrument_imports(include=["mmrag", "PIL"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        atheris.Setup([program, corpus, *options], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
