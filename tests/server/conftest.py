"""One real Milvus for the whole session: `pytest -m server`. Any other session starts none."""

from __future__ import annotations

import uuid

import pytest

from tests.server.milvus_server import ServerUnavailableError, milvus_server


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory):
    """A running server, or a skip that says what this machine lacks."""
    try:
        with milvus_server(tmp_path_factory.mktemp("milvus")) as server:
            yield server
    except ServerUnavailableError as lack:
        pytest.skip(str(lack))


@pytest.fixture
def collection() -> str:
    """A name nobody used before, so that tests share one server without meeting."""
    return f"test_{uuid.uuid4().hex}"
