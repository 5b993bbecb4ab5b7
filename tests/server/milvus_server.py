"""A real Milvus 2.3.5, for tests and benchmarks. In: a folder for its data. Out: a running server.

Milvus binds nine ports on 0.0.0.0, so it lives in a network namespace of its own, where nobody can
knock. `relay.py`, given listeners on 127.0.0.1 before it entered that namespace, is the one way in:
clients need to know nothing of it, and the URI outlives a killed server.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "2.3.5"
CACHE = Path("~/.cache/mmrag-tests").expanduser()
HERE = Path(__file__).parent
# Root makes a network namespace as it likes; others need a user namespace around it.
ROOT = os.geteuid() == 0
UNSHARE = ["unshare", "--net"] if ROOT else ["unshare", "--net", "--map-root-user"]
NSENTER = ["nsenter", "--net"] if ROOT else ["nsenter", "--net", "--user", "--preserve-credentials"]
# Whatever ends this process (even a kill -9 of pytest) ends what it started.
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


class ServerUnavailableError(Exception):
    """This machine cannot run the server; the message says what it lacks."""


@contextmanager
def milvus_server(data: Path) -> Iterator[MilvusServer]:
    """Run Milvus over `data` until the block ends; the first call ever fetches it from PyPI."""
    with _listen() as door, _listen() as health_door, _namespace(door, health_door) as pid:
        server = MilvusServer(data, install(), pid, _port(door), _port(health_door))
        try:
            server.start()
            yield server
        finally:
            server.kill()


class MilvusServer:
    """One Milvus that can be killed and started again under the same URI.

    Start it from a thread that lives on: with its starting thread the kernel ends the server too.
    """

    def __init__(self, data: Path, site: Path, namespace: int, port: int, health_port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._health = f"http://127.0.0.1:{health_port}/healthz"
        self._data = data
        self._log = data / "milvus.log"
        inside = [*NSENTER, "--target", str(namespace), *DIES_WITH_US]
        self._command = [*inside, sys.executable, str(HERE / "launch.py"), str(site), str(data)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Milvus itself, neither a wrapper nor the relay; None while it is down."""
        return self._process and self._process.pid

    def start(self, within: float = 180) -> None:
        """Start Milvus and wait until it calls itself healthy."""
        self._data.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + within
        while not _answers_ok(self._health):
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Milvus is not healthy after {within} s; its log ends:\n{tail}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Do `kill -9`: no goodbye, no flush."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


def install() -> Path:
    """Fetch the wheel and unpack its binaries, once a machine, and say where both are."""
    site = CACHE / f"milvus-{VERSION}"
    if site.is_dir():
        return site
    CACHE.mkdir(parents=True, exist_ok=True)
    draft = CACHE / f"milvus-{VERSION}.{os.getpid()}"  # `site` is complete or absent
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--retries=1", "--no-deps"]
    _run([*pip, "--target", str(draft), f"milvus=={VERSION}"], "its wheel cannot be had")
    unpack = "import milvus; milvus._initialize_data_files('unpacked')"
    _run([sys.executable, "-c", unpack], "its wheel cannot be unpacked", cwd=draft)
    try:
        draft.rename(site)
    except OSError:  # another process was faster
        shutil.rmtree(draft)
    return site


@contextmanager
def _namespace(door: socket.socket, health_door: socket.socket) -> Iterator[int]:
    """The pid of the relay, which the namespace lives and dies with."""
    for tool in ("unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            raise ServerUnavailableError(f"no Milvus here: {tool} is missing (Linux, util-linux)")
    doors = [f"{door.fileno()}:19530", f"{health_door.fileno()}:9091"]
    relay = subprocess.Popen(
        [*UNSHARE, *DIES_WITH_US, sys.executable, str(HERE / "relay.py"), *doors],
        pass_fds=(door.fileno(), health_door.fileno()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if relay.stdout is None or relay.stdout.readline() != "ready\n":
            _, complaint = relay.communicate()
            raise ServerUnavailableError(f"no Milvus here: no own network: {complaint.strip()}")
        yield relay.pid
    finally:
        relay.kill()
        relay.communicate()


def _run(command: list[str], failure: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ServerUnavailableError(f"no Milvus here: {failure}: {done.stderr.strip()[-500:]}")


def _listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _port(listener: socket.socket) -> int:
    return listener.getsockname()[1]


def _answers_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return "OK" in response.read().decode()
    except OSError:
        return False
