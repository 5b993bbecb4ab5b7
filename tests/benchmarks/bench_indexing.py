"""Benchmark of indexing: an incremental run against a full one.

python tests/benchmarks/bench_indexing.py [--images N]

The demo encoder, the cheapest there is: with a larger one the ratios only grow.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex

from mmrag.datasets import write_catalog
from mmrag.indexing import ImageEntry, IndexReport

LONG_AGO = 1_600_000_000


@dataclass(frozen=True)
class Prices:
    """A table that gives every image a price."""

    folder: Path
    price: float
    name: str = "/shop.csv"

    def __iter__(self):
        for path in sorted(self.folder.glob("*.jpg")):
            yield ImageEntry(str(path), {"price": self.price})


def main() -> None:
    """Time each kind of later run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(". ")[0])
    parser.add_argument("--images", type=int, default=2_000)
    n = parser.parse_args().images
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "photos")
        write_catalog(folder, n=n, seed=1)
        for path in folder.iterdir():
            os.utime(path, (LONG_AGO, LONG_AGO))
        encoder = VisualizedBGEEmbedding(model_name="demo")
        encoder.get_text_embedding("warm")
        with ComposedImageIndex.open(Path(home, "shop.db"), encoder) as index:
            anew = _run("a folder, for the first time", lambda: index.add_folder(folder))
            _run("again, nothing changed", lambda: index.add_folder(folder), anew)
            for path in sorted(folder.glob("*.jpg"))[::20]:
                os.utime(path)
                path.write_bytes(path.read_bytes() + b"\0")
            _run("again, one image in twenty changed", lambda: index.add_folder(folder), anew)
            for price in (1, 2):
                table = Prices(folder, price)
                _run(f"a table, price {price} for each", lambda t=table: index.add_folder(t), anew)
            _run("the same table again", lambda: index.add_folder(Prices(folder, 2)), anew)


def _run(case: str, index: Callable[[], IndexReport], anew: float | None = None) -> float:
    start = time.perf_counter()
    report = index()
    seconds = time.perf_counter() - start
    ratio = f", {anew / seconds:.1f} times as fast as anew" if anew else ""
    sys.stdout.write(f"{case}: {seconds:.2f} s{ratio} ({report})\n")
    sys.stdout.flush()
    return seconds


if __name__ == "__main__":
    main()
