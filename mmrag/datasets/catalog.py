"""Catalogs of drawn products: planning by seed, drawing in parallel, reading and writing `catalog.jsonl`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass
from itertools import product as cross
from pathlib import Path
from random import Random
from subprocess import PIPE, STDOUT, Popen

from mmrag.datasets.attributes import PATTERNS, PRICES, PRODUCTS, colors_of
from mmrag.datasets.render import ImageSpec
from mmrag.errors import ImageError, MMRagError

__all__ = ["Item", "draw_files", "plan_catalog", "read_catalog", "write_catalog"]

Progress = Callable[[int, int], None]  # (done, total)

_LIST = "catalog.jsonl"
_DRAWN = "drawn\n"
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
    """Return the items of a catalog without drawing them; see `write_catalog`."""
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
    jobs = [[str(path), *astuple(spec)] for path, spec in images.items()]
    count = max(1, min(workers or os.cpu_count() or 1, -(-len(jobs) // _IMAGES_PER_PROCESS)))
    # Commands: `multiprocessing` would need a guarded main module, and forking is unsafe in programs with threads.
    command = [sys.executable, "-c", f"from {__name__} import draw_jobs; draw_jobs()"]
    # The processes must import this very mmrag, wherever it was found.
    path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    processes: list[Popen[str]] = []
    drawn, error = 0, ""
    reader, writer = os.pipe()  # one for the lines of all processes
    with ExitStack() as stack:
        with open(writer, "w") as output:
            for first in range(count):
                process = Popen(command, stdin=PIPE, stdout=output, stderr=STDOUT, text=True, env=environment)
                processes.append(stack.enter_context(process))
                assert process.stdin  # it is a pipe
                process.stdin.write(json.dumps(jobs[first::count]))
                process.stdin.close()
        with open(reader, errors="replace") as lines:
            for line in lines:
                if line != _DRAWN:
                    error = line.strip() or error
                    continue
                drawn += 1
                if on_progress is not None:
                    on_progress(drawn, len(jobs))
    if failed := [process.returncode for process in processes if process.returncode]:
        raise ImageError(
            f"A process that drew the catalog failed: {error or f'exit code {failed[0]}'}. "
            "Check that the folder exists, can be written, and has room."
        )


def draw_jobs() -> None:
    """Draw the jobs on standard input and write a line after each; the main function of a process."""
    for path, *arguments in json.load(sys.stdin):
        ImageSpec(*arguments).draw().save(path, "JPEG", quality=90)
        sys.stdout.write(_DRAWN)
        sys.stdout.flush()
