"""A disk that is truly full, and one that is truly read-only: told in words, and nothing lost."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

IMAGES = 600
IN_A_MOUNT_OF_ITS_OWN = ["unshare", "--mount", "--map-root-user", "sh", "-ec"]
INDEX = """
import sys
from indexing_worker import open_toy_index
with open_toy_index(sys.argv[1]) as index:
    try:
        print(index.add_folder(sys.argv[2]))
    finally:
        print("holds", index.vector_store.count())
"""


def _refused() -> str:
    if shutil.which("unshare") is None:
        return "unshare is missing (util-linux)"
    command = [*IN_A_MOUNT_OF_ITS_OWN, "mount -t tmpfs none /mnt"]
    tried = subprocess.run(command, capture_output=True, text=True)
    return tried.stderr.strip()


REFUSED = _refused()
pytestmark = pytest.mark.skipif(bool(REFUSED), reason=f"nothing can be mounted here: {REFUSED}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i in range(IMAGES):
        Image.new("RGB", (9, 9), (i % 256, i // 256, 7)).save(folder / f"{i:03}.png")
    return folder


def shell(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a script that may mount; ``$index`` indexes the folder $2 into the database $1."""
    support = Path(__file__).parents[2] / "support"
    return subprocess.run(
        [*IN_A_MOUNT_OF_ITS_OWN, script, "sh", *map(str, words)],
        capture_output=True, text=True, timeout=240,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": str(support),
             "python": sys.executable, "index": INDEX, "HOME": "/nonexistent"},
    )  # fmt: skip


def test_a_full_disk_is_an_error_and_the_next_run_continues(tmp_path, folder):
    ran = shell(
        """
        mount -t tmpfs -o size=1m none "$1"
        "$python" -c "$index" "$1/shop.db" "$2" && exit 1
        mount -o remount,size=100m "$1"
        "$python" -c "$index" "$1/shop.db" "$2"
        "$python" -c "$index" "$1/shop.db" "$2"
        """,
        tmp_path, folder,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"mmrag\.errors\.StoreError: .*(disk is full|No space left).*room", ran.stderr)
    *_full, rest, complete, again, still = ran.stdout.splitlines()
    assert complete == still == f"holds {IMAGES}"
    assert f"{IMAGES} unchanged" not in rest  # it was full before the end
    assert again.endswith(f": {IMAGES} unchanged")


def test_a_read_only_disk_is_an_error_and_the_index_is_unchanged(tmp_path, folder):
    ran = shell(
        """
        "$python" -c "$index" "$1/shop.db" "$2"
        mount --bind "$1" "$1"
        mount -o remount,bind,ro "$1"
        "$python" -c "$index" "$1/shop.db" "$2" && exit 1
        umount "$1"
        "$python" -c "$index" "$1/shop.db" "$2"
        """,
        tmp_path, folder,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("mmrag.errors.StoreError")
    assert "Check that you may write there" in last
    assert ran.stdout.splitlines()[-1] == f"holds {IMAGES}"
    assert ran.stdout.splitlines()[-2].endswith(f"{IMAGES} unchanged")
