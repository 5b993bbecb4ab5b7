"""The `mmrag` program: it starts fast, has help for every command, and each error is one line with the next step."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from mmrag.cli.main import app, main
from mmrag.errors import StoreError

COMMANDS = [command.callback.__name__ for command in app.registered_commands]
HEAVY = {"torch", "transformers", "llama_index", "pymilvus", "pydantic_settings", "jinja2", "PIL"}


def test_help_lists_every_command(mmrag):
    ran = mmrag("--help")
    assert ran.code == 0
    for command in ("demo", "index", "search", "bench", "doctor", "collections"):
        assert f" {command} " in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example_that_fits(mmrag, command):
    ran = mmrag(command, "--help")
    assert ran.code == 0
    assert f"Example: mmrag {command}" in ran.out
    assert "--json" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_start_imports_nothing_heavy():
    code = f"import sys, mmrag.cli.main; print({HEAVY!r} & {{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_error_is_one_line_with_the_next_step(mmrag):
    ran = mmrag("collections", "nowhere.db")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err == ("error: nowhere.db does not exist: make it with mmrag index FOLDER --into nowhere.db\n")


def test_debug_shows_the_traceback():
    with pytest.raises(StoreError, match=r"nowhere\.db"):
        main(["collections", "nowhere.db", "--debug"])


def test_version(mmrag):
    ran = mmrag("--version")
    assert ran.code == 0
    assert ran.out.startswith("mmrag 0.")


def test_wrong_usage_exits_with_2(mmrag):
    assert mmrag("search", "--no-such-option").code == 2


def test_an_unexpected_exception_is_one_line(mmrag, monkeypatch):
    broken = typer.Typer()

    @broken.command()
    def fail():
        raise RuntimeError("first\nsecond [bold]")

    monkeypatch.setattr("mmrag.cli.main.app", broken)
    ran = mmrag()
    assert ran.code == 1
    assert ran.err.startswith("error: RuntimeError: first second [bold].")
    assert ran.err.count("\n") == 1
    assert "--debug" in ran.err


def test_invalid_settings_are_reported(mmrag, tmp_path):
    (tmp_path / "mmrag.toml").write_text("tpo = 3\n")
    ran = mmrag("collections")
    assert ran.code == 1
    assert "tpo" in ran.err
    assert "mmrag.toml" in ran.err
