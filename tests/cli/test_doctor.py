"""`mmrag doctor` reports what works, what is not set up yet and what is broken, each with the next step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sample_catalog import ENCODER, RERANKER


@pytest.fixture
def doctor(mmrag, monkeypatch):
    """Runs the doctor on tiny models; the slow checks of the bundled parts pass."""
    for slow in ("_demo", "_milvus_lite"):
        monkeypatch.setattr(f"mmrag.cli.commands.doctor.{slow}", lambda _: ("well", "", ""))
    return lambda *words: mmrag("doctor", "--model", ENCODER, "--reranker", RERANKER, *words)


def by_name(ran):
    return {check["name"]: check for check in ran.json}


def test_a_new_machine_is_healthy_and_gets_the_next_steps(mmrag):
    ran = mmrag("doctor")
    assert ran.code == 0
    assert "✗" not in ran.out
    for name in ("device", "demo", "milvus lite"):
        assert f"✓ {name}" in ran.out
    for name in ("encoder", "reranker", "database"):
        assert f"○ {name}" in ran.out
    assert "hf download BAAI/bge-visualized Visualized_base_en_v1.5.pth" in ran.out
    assert "mmrag index FOLDER --into catalog.db" in ran.out


def test_what_works_is_ticked(doctor, db):
    ran = doctor("--db", db, "--json")
    checks = by_name(ran)
    assert ran.code == 0
    for name in ("device", "demo", "encoder", "reranker", "milvus lite", "database"):
        assert checks[name]["state"] == "well", checks[name]
    assert "base-tiny" in checks["encoder"]["found"]
    assert "6 images by base-tiny" in checks["database"]["found"]


def test_a_missing_collection_comes_with_the_command(doctor, db):
    ran = doctor("--db", db, "--collection", "mugs")
    assert ran.code == 0
    assert "○ database" in ran.out
    assert f"mmrag index FOLDER --into {db} --collection mugs" in ran.out


def test_an_index_of_another_encoder_is_broken(doctor, db):
    ran = doctor("--db", db, "--model", "demo")
    assert ran.code == 1
    assert "✗ database" in ran.out
    assert "base-tiny" in ran.out


@pytest.mark.parametrize("option", ["--model", "--reranker"])
def test_a_folder_without_weights_is_broken(doctor, tmp_path, option):
    ran = doctor(option, tmp_path)
    assert ran.code == 1
    assert f"{tmp_path} holds no weights" in ran.out


def test_weights_on_the_hub_come_with_the_download_command(doctor):
    ran = doctor("--model", "m3", "--reranker", "someone/phi-3-vision-of-mugs")
    assert ran.code == 0
    assert "hf download BAAI/bge-visualized Visualized_m3.pth" in ran.out
    assert "hf download someone/phi-3-vision-of-mugs" in ran.out


def test_a_missing_device_is_broken(doctor):
    ran = doctor("--device", "abacus")
    assert ran.code == 1
    assert "✗ device" in ran.out


def test_a_broken_installation_names_what_breaks(mmrag, monkeypatch):
    monkeypatch.setitem(sys.modules, "milvus_lite", None)
    monkeypatch.setitem(sys.modules, "mmrag.vision", None)
    ran = mmrag("doctor", "--model", ENCODER, "--reranker", RERANKER, "--json")
    demo = by_name(ran)["demo"]
    assert ran.code == 1
    assert demo["state"] == "broken"
    assert "mmrag.vision" in demo["found"]
    assert "pip install" in demo["remedy"]


def test_a_database_open_in_another_process_is_broken(doctor):
    code = "import pymilvus; c = pymilvus.MilvusClient('own.db'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        ran = doctor("--db", "own.db")
        other.communicate(b"\n")
    assert ran.code == 1
    assert "✗ database" in ran.out
    assert "open in another process" in ran.out


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that nobody can write to")
def test_a_read_only_folder_is_broken(doctor):
    ran = doctor("--db", "/proc/new/shop.db")
    assert ran.code == 1
    assert "✗ database" in ran.out
    assert "/proc cannot be written to" in ran.out


def test_an_invalid_database_name_is_broken(doctor):
    ran = doctor("--db", "shop.sqlite")
    assert ran.code == 1
    assert "must end in '.db'" in ran.out


@pytest.mark.parametrize(
    ("answer", "state"), [(json.dumps({"1": 5}), "well"), ("Hello!", "not yet"), (json.dumps({"1": "five"}), "not yet")]
)
def test_a_server_shows_whether_it_enforces_schemas(doctor, llm_server, monkeypatch, answer, state):
    llm_server.answer = lambda asked: answer
    monkeypatch.setenv("MMRAG_LLM_URL", llm_server.url)
    check = by_name(doctor("--json"))["LLM server"]
    assert check["state"] == state
    assert llm_server.url in check["found"]


def test_an_unreachable_llm_server_is_broken(doctor, monkeypatch):
    monkeypatch.setenv("MMRAG_LLM_URL", "http://127.0.0.1:9/v1")
    ran = doctor("--json")
    check = by_name(ran)["LLM server"]
    assert ran.code == 1
    assert check["state"] == "broken"
    assert "cannot be reached" in check["remedy"]


def test_an_unreachable_milvus_server_is_broken(doctor):
    ran = doctor("--db", "http://127.0.0.1:9", "--json")
    check = by_name(ran)["database"]
    assert ran.code == 1
    assert check["state"] == "broken"
    assert "127.0.0.1:9" in check["remedy"]
