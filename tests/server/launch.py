"""Turns this process into Milvus: configures the wheel in SITE for the folder DATA, then execs its
binary, so that the pid the caller holds is Milvus itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SESSION_TTL = 10  # seconds until etcd forgets a killed server; 30 by default, far longer to recover


def become_milvus(site: Path, data: Path) -> None:
    """Exec the server found in `site` over `data`, configured at its first start."""
    if not (data / "configs" / "milvus.yaml").exists():
        _configure(site, data)
    binaries = site / "unpacked" / "bin"
    surroundings = {
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": "9091",
        "MILVUS_RUN_DIR": str(data / "run"),
        "LD_LIBRARY_PATH": str(binaries),
    }
    os.chdir(data)
    os.execve(binaries / "milvus", ["milvus", "run", "standalone"], os.environ | surroundings)


def _configure(site: Path, data: Path) -> None:
    # Only once: the wheel hunts for free ports without SO_REUSEADDR, so after a kill it would take
    # 19530 for occupied (TIME_WAIT) and move the server to another port, where nobody looks for it.
    sys.path.insert(0, str(site))
    from milvus import MilvusServerConfig  # pyright: ignore[reportMissingImports] - in `site`

    config = MilvusServerConfig(data_dir=str(data))
    config.set("common.session.ttl", SESSION_TTL)
    config.resolve()


if __name__ == "__main__":
    become_milvus(Path(sys.argv[1]), Path(sys.argv[2]))
