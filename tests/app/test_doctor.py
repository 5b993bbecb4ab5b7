"""The doctor says what is there, what is not, and what to type."""

from __future__ import annotations

import json

import pytest
from little_shop import ENCODER, RERANKER


@pytest.fixture
def doctor(mmrag):
    return lambda *words: mmrag("doctor", "--model", ENCODER, "--reranker", RERANKER, *words)


def by_name(ran):
    return {check["name"]: check for check in ran.json}


def test_what_is_here_is_ticked(doctor):
    checks = by_name(doctor("--json"))
    for name in ("device", "encoder", "reranker", "milvus lite"):
        assert checks[name]["well"], checks[name]
    assert "base-tiny" in checks["encoder"]["found"]


def test_a_missing_index_is_crossed_with_what_to_type(doctor):
    ran = doctor("--db", "new.db")
    assert ran.code == 1
    assert "✗ database" in ran.out
    assert "mmrag index FOLDER --into new.db" in ran.out


def test_weights_that_are_not_here_are_crossed_with_what_to_type(mmrag):
    ran = mmrag("doctor", "--model", "m3", "--reranker", "microsoft/Phi-3.5-vision-instruct")
    assert ran.code == 1
    assert "hf download BAAI/bge-visualized Visualized_m3.pth" in ran.out
    assert "hf download microsoft/Phi-3.5-vision-instruct" in ran.out


@pytest.mark.parametrize(
    ("answer", "well"),
    [(json.dumps({"1": 5}), True), ("Hello!", False), (json.dumps({"1": "five"}), False)],
)
def test_a_server_shows_whether_it_enforces_schemas(doctor, llm_server, monkeypatch, answer, well):
    llm_server.answer = lambda asked: answer
    monkeypatch.setenv("MMRAG_LLM_URL", llm_server.url)
    check = by_name(doctor("--json"))["LLM server"]
    assert check["well"] is well
    assert llm_server.url in check["found"]


def test_a_server_that_is_not_there_is_crossed(doctor, monkeypatch):
    monkeypatch.setenv("MMRAG_LLM_URL", "http://127.0.0.1:9/v1")
    check = by_name(doctor("--json"))["LLM server"]
    assert not check["well"]
    assert "cannot be reached" in check["remedy"]


def test_a_milvus_server_that_is_not_there_is_crossed(doctor):
    check = by_name(doctor("--db", "http://127.0.0.1:9", "--json"))["database"]
    assert not check["well"]
    assert "127.0.0.1:9" in check["remedy"]
