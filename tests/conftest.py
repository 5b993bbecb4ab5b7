"""What holds for every test: no network, no user's caches, no settings from outside."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

import pytest
from malformed_images import write_malformed_images
from run_profile import register_profiles

pytest_plugins = ["command_line"]
WEIGHTS = os.environ.get("MMRAG_WEIGHTS", "")
# A long file that starts last keeps one worker busy while the others are done.
LONGEST_FIRST = (
    "tests/server/",
    "tests/examples/train_demo_models/test_shipped.py",
    "tests/vision/phi3/test_complete.py",
    "tests/notebooks/",
    "tests/integrations/indices/test_killed.py",
    "tests/test_readme.py",
)

register_profiles()


def pytest_configure(config: pytest.Config) -> None:
    """Set before the first import: Hugging Face's libraries read their environment only then."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for name in [name for name in os.environ if name.startswith(("MMRAG_", "HF_"))]:
        patch.delenv(name)
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file to one worker, as its tests share fixtures, and all tests of the Milvus server to the same one."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("server" if item.get_closest_marker("server") else file))
    items.sort(key=_start)


def _start(item: pytest.Item) -> int:
    longest = (n for n, path in enumerate(LONGEST_FIRST) if item.nodeid.startswith(path))
    return next(longest, len(LONGEST_FIRST))


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory):
    """Every cache and setting of a user is an empty folder of this run."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(home / "huggingface"))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("XDG_DATA_HOME", str(home / "data"))
        yield


@pytest.fixture(scope="session")
def malformed_images():
    """Function that writes the corpus of malformed images into a folder."""
    return write_malformed_images


@pytest.fixture(scope="session")
def official():
    """Finds a folder among the official files by its name; where it is missing, the test skips."""

    def find(name: str) -> Path:
        if not WEIGHTS:
            pytest.skip("MMRAG_WEIGHTS names no folder of official weights")
        folder = Path(WEIGHTS, name)
        if not folder.is_dir():
            pytest.skip(f"there is no {folder}")
        return folder

    return find


@pytest.fixture(scope="session", autouse=True)
def this_machine_only():
    """A connection to anywhere but this machine fails, in this process."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address):
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(host):
            raise OSError(f"tests stay on this machine, and may not connect to {host}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
