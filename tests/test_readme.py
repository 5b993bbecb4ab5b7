"""The README does what it says: its Python runs, and its terminal session is the program's own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
# What differs from run to run and from machine to machine.
_VARIES = re.compile(r"\d+\.\d+ s\b|\d\.\d{3}\b|(?<= )/\S*/")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder in which all Python of the README has run, in one program, top to bottom."""
    folder = tmp_path_factory.mktemp("readme")
    program = folder / "readme.py"
    program.write_text("\n".join(blocks("python")), encoding="utf-8")
    subprocess.run([sys.executable, program.name], cwd=folder, check=True, timeout=600)
    return folder


def test_its_python_runs(shop):
    assert (shop / "shop.db").is_dir()


def test_its_terminal_session_is_what_the_program_prints(shop):
    sessions = blocks("console")
    assert sessions
    for command, shown in _commands("".join(sessions)):
        assert _settled(_run(command, shop)) == _settled(shown), command


def _commands(session: str) -> list[tuple[str, str]]:
    first, *rest = re.split(r"^\$ ", session, flags=re.MULTILINE)
    assert not first
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in rest)]


def _run(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    assert program == "mmrag"
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},  # the folder of a test has a long name
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout


def _settled(text: str) -> list[str]:
    lines = [_VARIES.sub("~", line).split() for line in text.splitlines()]
    return [" ".join(words) for words in lines if words]
