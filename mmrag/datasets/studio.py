"""Draws many images into JPEG files, in several processes. In: paths and depictions.

Processes of its own instead of `multiprocessing`: they need no guarded main module, so drawing
works alike in a script, a notebook, and a program whose threads make forking unsafe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from mmrag.errors import ImageError

from .depiction import Depiction

__all__ = ["Progress", "draw_files"]

Progress = Callable[[int, int], None]
"""``on_progress(done, total)``."""

_WORTH_A_PROCESS = 40  # images; drawing them takes as long as starting Python


def draw_files(
    images: Mapping[Path, Depiction], size: int = 192, workers: int | None = None, on_progress: Progress | None = None
) -> None:
    """Draw each depiction into its file (JPEG, quality 90); folders must exist.

    Parameters
    ----------
    images
        What to draw, by path.
    size
        Width and height in pixels.
    workers
        Processes at most; by default one for each core.
    on_progress
        Called after each image, never by two threads at once.

    Raises
    ------
    ImageError
        When a process cannot draw or write.
    """
    jobs = [[str(path), shown.product, shown.pattern, shown.color, shown.seed, size] for path, shown in images.items()]
    most = -(-len(jobs) // _WORTH_A_PROCESS)
    processes = max(1, min(workers or os.cpu_count() or 1, most))
    done, lock = 0, Lock()

    def one_more() -> None:
        nonlocal done
        with lock:
            done += 1
            if on_progress is not None:
                on_progress(done, len(jobs))

    with ThreadPoolExecutor(processes) as threads:
        shares = [jobs[first::processes] for first in range(processes)]
        for finished in [threads.submit(_draw_apart, share, one_more) for share in shares]:
            finished.result()


def draw_jobs() -> None:
    """Draw the jobs on standard input, and write a line after each: the body of a process."""
    for path, product, pattern, color, seed, size in json.load(sys.stdin):
        Depiction(product, pattern, color, seed).draw(size).save(path, "JPEG", quality=90)
        sys.stdout.write("drawn\n")
        sys.stdout.flush()


def _draw_apart(jobs: list[list[str | int | None]], one_more: Callable[[], None]) -> None:
    command = [sys.executable, "-c", f"from {__name__} import draw_jobs; draw_jobs()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=_environment()) as process:
        assert process.stdin and process.stdout and process.stderr  # all three are pipes
        process.stdin.write(json.dumps(jobs))
        process.stdin.close()
        for _ in process.stdout:
            one_more()
        complaint = process.stderr.read().strip()
    if process.returncode:
        reason = complaint.splitlines()[-1] if complaint else f"it ended with {process.returncode}"
        raise ImageError(
            f"A process that drew the catalog failed: {reason}. "
            "Check that the folder exists, can be written, and has room."
        )


def _environment() -> dict[str, str]:
    # The process must find this very mmrag, however this one was found.
    home = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, known] if known else [home])}
