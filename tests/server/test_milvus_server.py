"""The server's fixture: out of everybody's reach, or absent for a reason it gives."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.server import milvus_server as module
from tests.server.milvus_server import ServerUnavailableError, milvus_server


@pytest.mark.server
def test_its_open_ports_are_in_a_network_of_their_own(milvus):
    assert os.readlink(f"/proc/{milvus.pid}/ns/net") != os.readlink("/proc/self/ns/net")
    assert milvus.uri.startswith("http://127.0.0.1:")


def test_without_util_linux_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailableError, match="unshare is missing"), milvus_server(tmp_path):
        pass


def test_a_machine_that_forbids_namespaces_is_quoted(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "UNSHARE", ["sh", "-c", "echo 'Operation not permitted' >&2"])
    with pytest.raises(ServerUnavailableError, match="Operation not permitted"), milvus_server(tmp_path):
        pass


def test_a_machine_without_an_index_is_quoted(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(subprocess, "run", _no_index)
    with pytest.raises(ServerUnavailableError, match="No matching distribution"):
        module.install()


def _no_index(command, **_options) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution found")
