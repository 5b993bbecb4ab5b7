"""Retries wait for a server that restarts: for about a minute, and for no other error."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from llama_index.indices.composed_image.connection import RETRYABLE_CODES, call_with_retry, parse_uri
from pymilvus.exceptions import MilvusException

from mmrag.errors import StoreError

SERVER = parse_uri("http://localhost:19530")
LITE = parse_uri("shop.db")


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.mark.parametrize("code", RETRYABLE_CODES)
def test_a_call_is_retried_until_the_server_is_back(pauses, code):
    assert call_with_retry(SERVER, "counting", _succeeds_at_call(3, code)) == "result"
    assert pauses == [0.5, 1]


def test_a_server_that_stays_away_is_an_error_after_about_a_minute(pauses):
    with pytest.raises(StoreError, match="counting in http://localhost:19530 failed"):
        call_with_retry(SERVER, "counting", _succeeds_at_call(100, RETRYABLE_CODES[0]))
    assert 30 <= sum(pauses) <= 120
    assert pauses == sorted(pauses)


def test_any_other_error_is_not_retried(pauses):
    with pytest.raises(StoreError, match="code=1100"):
        call_with_retry(SERVER, "counting", _succeeds_at_call(2, 1100))
    assert pauses == []


def test_milvus_lite_is_not_retried(pauses):
    with pytest.raises(StoreError):
        call_with_retry(LITE, "counting", _succeeds_at_call(2, RETRYABLE_CODES[1]))
    assert pauses == []


def test_the_package_can_be_imported_without_fcntl():
    code = """
import sys
sys.modules["fcntl"] = None  # as on Windows
import llama_index.indices.composed_image, mmrag.indexing, mmrag.cli.main, mmrag.search
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


def _succeeds_at_call(number: int, code: int):
    calls = iter(range(1, 1_000))

    def call() -> str:
        if next(calls) < number:
            raise MilvusException(code, "not now")
        return "result"

    return call
