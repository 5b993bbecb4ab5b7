"""The architecture page shows the code as it is: its drawings are current, and its files exist."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from import_graph import ROOT

PAGES = ["docs/architecture.md", "README.md", "CONTRIBUTING.md"]


def test_the_drawings_are_current():
    script = ROOT / "docs" / "draw_architecture.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_path_of_a_page_leads_somewhere(page):
    file = ROOT / page
    text = file.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    links = {file.parent / link for link in re.findall(r"\]\((?!http|#)([^)#]+)", prose)}
    paths = {ROOT / path for path in re.findall(r"`((?:mmrag|integrations|tests|docs|examples)/[\w/.]*)`", text)}
    assert links | paths
    assert [str(path) for path in links | paths if not path.exists()] == []
