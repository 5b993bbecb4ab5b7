"""Waiting for a server that restarts: for long enough, not for ever, and for nothing else."""

from __future__ import annotations

import pytest
from llama_index.indices.composed_image import connection as module
from llama_index.indices.composed_image.connection import AWAY, PAUSES, patiently, place_of
from pymilvus.exceptions import MilvusException

from mmrag.errors import StoreError

SERVER = place_of("http://localhost:19530")
LITE = place_of("shop.db")


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(module.time, "sleep", made.append)
    return made


@pytest.mark.parametrize("code", AWAY)
def test_a_server_that_comes_back_is_asked_again(pauses, code):
    assert patiently(SERVER, "counting", _answers_at_call(3, code)) == "answer"
    assert pauses == list(PAUSES[:2])


def test_a_server_that_stays_away_is_reported_after_about_a_minute(pauses):
    with pytest.raises(StoreError, match="counting in http://localhost:19530 failed"):
        patiently(SERVER, "counting", _answers_at_call(100, AWAY[0]))
    assert 30 <= sum(pauses) <= 120
    assert pauses == sorted(pauses)


def test_any_other_refusal_is_reported_at_once(pauses):
    with pytest.raises(StoreError, match="code=1100"):
        patiently(SERVER, "counting", _answers_at_call(2, 1100))
    assert pauses == []


def test_milvus_lite_is_never_waited_for(pauses):
    with pytest.raises(StoreError):
        patiently(LITE, "counting", _answers_at_call(2, AWAY[1]))
    assert pauses == []


def _answers_at_call(number: int, code: int):
    calls = iter(range(1, 1_000))

    def act() -> str:
        if next(calls) < number:
            raise MilvusException(code, "not now")
        return "answer"

    return act
