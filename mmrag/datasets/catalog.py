"""Catalogs of drawn products: planning by seed, drawing in parallel, reading and writing `catalog.jsonl`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass
from itertools import product as cross
from pathlib import Path
from random import Random
from threading import Lock

from mmrag.datasets.attributes import PATTERNS, PRICES, PRODUCTS, colors_of
from mmrag.datasets.render import ImageSpec
from mmrag.errors import ImageError, MMRagError

__all__ = ["Item", "draw_files", "plan_catalog", "read_catalog", "write_catalog"]

Progress = Callable[[int, int], None]
"""``on_progress(done, total)``."""

_LIST = "catalog.jsonl"
_IMAGES_PER_PROCESS = 40  # drawing fewer takes no longer than starting Python


@dataclass(frozen=True)
class Item:
    """A product of a catalog; ``file`` is relative to the catalog's folder."""

    id: str
    file: str
    title: str
    product: str
    pattern: str
    color: str
    price: float


def write_catalog(
    folder: str | Path, n: int = 900, seed: int = 0, workers: int | None = None, on_progress: Progress | None = None
) -> list[Item]:
    """Draw a catalog into a folder: n JPEG files and ``catalog.jsonl``.

    Parameters
    ----------
    folder : str or Path
        Created if missing; files of the same name are replaced.
    n : int, optional
        Number of products. The 144 pairs of product and pattern come equally often, give or take 1. Default: 900.
    seed : int, optional
        Equal seeds give equal files. Default: 0.
    workers : int, optional
        Maximum number of processes. Default: one per core.
    on_progress : callable, optional
        Called as ``on_progress(done, total)`` after each image.

    Returns
    -------
    list of Item
        The products, in the order of ``catalog.jsonl``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    items = plan_catalog(n, seed)
    specs = (ImageSpec(item.product, item.pattern, item.color, f"catalogue {seed} {item.id}") for item in items)
    images = {folder / item.file: spec for item, spec in zip(items, specs, strict=True)}
    draw_files(images, workers=workers, on_progress=on_progress)
    (folder / _LIST).write_text("".join(json.dumps(asdict(item)) + "\n" for item in items), encoding="utf-8")
    return items


def read_catalog(folder: str | Path) -> list[Item]:
    """Read the items of a folder written by `write_catalog`.

    Raises
    ------
    MMRagError
        If the folder holds no catalog, or a line of it is damaged.
    """
    path = Path(folder) / _LIST
    try:
        return [Item(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise MMRagError(f"{path} is no catalog ({error}). Write one: mmrag.datasets.write_catalog(folder)") from error


def plan_catalog(n: int, seed: int = 0) -> list[Item]:
    """Return the items of a catalog without drawing them.

    Examples
    --------
    >>> item = plan_catalog(900)[0]
    >>> item.id, item.file
    ('item-0000', 'item-0000.jpg')
    """
    rng = Random(f"catalogue {seed}")  # the old spelling: another seed draws another catalog
    pairs = list(cross(PRODUCTS, PATTERNS))
    colors = {pair: rng.sample(colors_of(pair[1]), len(colors_of(pair[1]))) for pair in pairs}
    items: list[Item] = []
    for number in range(n):
        round_, position = divmod(number, len(pairs))
        if position == 0:
            rng.shuffle(pairs)
        product, pattern = pairs[position]
        pair_colors = colors[product, pattern]
        color = pair_colors[round_ % len(pair_colors)]
        name, title = f"item-{number:04d}", f"{color} {pattern} {product}".capitalize()
        price = rng.randint(*PRICES[product]) + rng.choice([0.49, 0.95, 0.99])
        items.append(Item(name, f"{name}.jpg", title, product, pattern, color, round(price, 2)))
    return items


def draw_files(
    images: Mapping[Path, ImageSpec], workers: int | None = None, on_progress: Progress | None = None
) -> None:
    """Draw images into JPEG files of quality 90, in several processes; raise `ImageError` if one fails."""
    # Commands: `multiprocessing` would need a guarded main module, and forking is unsafe in programs with threads.
    jobs = [[str(path), *astuple(spec)] for path, spec in images.items()]
    processes = max(1, min(workers or os.cpu_count() or 1, -(-len(jobs) // _IMAGES_PER_PROCESS)))
    done, lock = 0, Lock()

    def count_image() -> None:
        nonlocal done
        with lock:
            done += 1
            if on_progress is not None:
                on_progress(done, len(jobs))

    with ThreadPoolExecutor(processes) as threads:
        shares = [jobs[first::processes] for first in range(processes)]
        for future in [threads.submit(_run_process, share, count_image) for share in shares]:
            future.result()


def draw_jobs() -> None:
    """Draw the jobs on standard input and write a line after each; the main function of a process."""
    for path, *arguments in json.load(sys.stdin):
        ImageSpec(*arguments).draw().save(path, "JPEG", quality=90)
        sys.stdout.write("drawn\n")
        sys.stdout.flush()


def _run_process(jobs: list[list[str | None]], on_image: Callable[[], None]) -> None:
    command = [sys.executable, "-c", f"from {__name__} import draw_jobs; draw_jobs()"]
    # The process must import this very mmrag, wherever it was found.
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]))
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdin and process.stdout and process.stderr  # all three are pipes
        process.stdin.write(json.dumps(jobs))
        process.stdin.close()
        for _ in process.stdout:
            on_image()
        errors = process.stderr.read().strip().splitlines()
    if process.returncode:
        reason = errors[-1] if errors else f"exit code {process.returncode}"
        raise ImageError(
            f"A process that drew the catalog failed: {reason}. "
            "Check that the folder exists, can be written, and has room."
        )
