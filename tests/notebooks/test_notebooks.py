"""Each notebook runs top to bottom on the bundled models: offline, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 900  # seconds; only there so that a cell that hangs does not hang the suite

THIS_MACHINE_ONLY = """
import socket

def _here(self, address, _connect=socket.socket.connect):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"a notebook runs offline, and may not connect to {address}")
    return _connect(self, address)

socket.socket.connect = _here
"""

# What the prose of a notebook claims, checked on its variables after all cells have run.
TRUE_AT_THE_END = {
    "01_quickstart": """
assert judged["reranked"][:2] == [2, 2] != judged["retrieved"][:2]
assert sorted(judged["reranked"]) == sorted(judged["retrieved"]), "none is lost"
""",
    "02_inside_the_reranker": """
assert answer.text == result.ranking.answer, "the slots are those that rank fills"
assert set(result.ranking.order[:2]) == {4, 8}
assert "zebra" in result.ranking.reason
""",
    "03_your_own_images": """
assert (report.new, report.changed, report.moved, report.deleted) == (1, 2, 1, 1)
assert (report.embedded, len(report.skipped)) == (2, 2)
assert answer.response.results[0].title == "black zebra tote bag"
facts = [node.metadata for node in answer.source_nodes]
assert all(fact["price"] < 30 and fact["in_stock"] for fact in facts)
""",
    "04_agent_tool": """
assert "zebra phone case" in str(first) and "zebra mug" in str(second)
assert [tool.name for tool in offered.tools] == ["search_images", "describe_image"]
assert "striped umbrella" in found.structured_content["results"][0]["title"]
assert len(found.content) == 1 + 4, "JSON, and four thumbnails"
""",
    "05_evaluate": """
assert (len(result.results), result.missing, result.skipped) == (60, [], {})
halves = [result.score("hit@1", way).value for way in ("text only", "image only")]
assert result.score("hit@1", "composed").low > max(halves)
changes = {c.metric: c for c in compare(reversed_run, result).changes if c.mode != "composed"}
assert changes["hit@1"].significant and changes["hit@1"].difference < 0
assert changes["hit@9"].difference == 0
""",
}


@dataclass(frozen=True)
class Run:
    """A notebook after its run, and the folder in which it ran."""

    cells: list[NotebookNode]
    folder: Path

    @property
    def outputs(self) -> list[NotebookNode]:
        return [output for cell in self.cells for output in cell.get("outputs", [])]


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp(request.param.stem)
    for name in ("working", "temporary", "others"):
        (folder / name).mkdir()
    notebook = nbformat.read(request.param, as_version=4)
    notebook.cells.insert(0, new_code_cell(THIS_MACHINE_ONLY))
    notebook.cells.append(new_code_cell(TRUE_AT_THE_END.get(request.param.stem, "")))
    client = NotebookClient(
        notebook,
        timeout=LONGEST_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder / "working")}},
    )
    others = dict.fromkeys(["IPYTHONDIR", "TORCHINDUCTOR_CACHE_DIR"], folder / "others")
    own = {"TMPDIR": folder / "temporary", **others}
    client.execute(env={**os.environ, **{name: str(path) for name, path in own.items()}})
    yield Run(notebook.cells, folder)


def test_it_shows_images(run):
    shown = [output.data for output in run.outputs if "data" in output]
    assert any("image/png" in data or "<img " in data.get("text/html", "") for data in shown)


def test_no_warning_stands_in_a_readers_way(run):
    assert [output.text for output in run.outputs if output.get("name") == "stderr"] == []


def test_it_leaves_nothing_behind(run):
    assert [*(run.folder / "working").iterdir(), *(run.folder / "temporary").iterdir()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestAsCommitted:
    def test_outputs_are_stripped(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), "run it, look at it, then clear all outputs"
            assert cell.get("execution_count") is None
            assert set(cell.metadata) <= {"tags"}

    def test_it_says_how_to_switch_to_the_real_models(self, path):
        sources = [cell.source for cell in nbformat.read(path, as_version=4).cells]
        [switch] = [source for source in sources if '= "demo"' in source]
        assert "base-en-v1.5" in switch or "microsoft/Phi-3.5-vision-instruct" in switch

    def test_its_cells_are_short(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            assert len(cell.source.splitlines()) <= 40, cell.source
