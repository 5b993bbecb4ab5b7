"""The structure of the code: imports go down and never in a circle; files and rooms stay small; one name, one thing."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from import_graph import HEIGHT, ROOT, circles, graph, home_of, imports, modules, room_of

MAX_LINES = 300
MAX_SHARE = 0.15
# A second torch build, or of no use here.
BANNED = {"torchvision", "timm", "einops"}


def faults(code: str, module: str) -> list[str]:
    """Return which imports of a module are banned or go up."""
    own, found = room_of(module), []
    for name in imports(code, module, package=module in modules() and modules()[module].name == "__init__.py"):
        room = room_of(home_of(name) or name)
        if name.split(".")[0] in BANNED:
            found.append(f"{module} imports {name}, which is banned")
        elif own and room and HEIGHT[room] > HEIGHT[own]:
            found.append(f"{module} imports {name}, which is above it")
    return found


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Yield the modules that users install, parsed."""
    for module, path in modules().items():
        if not module.startswith("examples"):
            yield module, ast.parse(path.read_text(encoding="utf-8"))


def test_every_module_belongs_to_a_room():
    assert {"mmrag.query", "mmrag.embedding", "llama_index.indices.composed_image.base"} <= set(modules())
    unnamed = [module for module in modules() if room_of(module) is None]
    assert unnamed == [], "name its room in LEVELS of tests/support/import_graph.py"


def test_no_module_imports_upwards():
    assert [fault for module, path in modules().items() for fault in faults(path.read_text(), module)] == []


def test_no_modules_import_each_other_in_a_circle():
    assert [" -> ".join([*circle, circle[0]]) for circle in circles(graph())] == []


def test_tests_import_nothing_banned():
    tests = {path: imports(path.read_text(), "") for path in (ROOT / "tests").rglob("*.py")}
    assert [path for path, names in tests.items() if BANNED & {name.split(".")[0] for name in names}] == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("mmrag.embedding.encode", "import mmrag.vision.phi3.model"),
        ("mmrag.embedding.encode", "from mmrag import rerank"),
        ("mmrag.vision.phi3.model", "def ask():\n    from mmrag.rerank.prompts import PROMPT"),
        ("mmrag.vision.phi3.model", "from ...rerank import prompts"),
        ("mmrag.vision.phi3.model", "if TYPE_CHECKING:\n    from mmrag.cli.main import main"),
        ("mmrag.rerank.listwise", "from llama_index.indices.composed_image import base"),
        ("mmrag.rerank.listwise", "require('llama_index.indices.composed_image', extra='x', feature='y')"),
        ("mmrag.datasets.render", "from mmrag.embedding import VisualizedBGE"),
        ("mmrag.datasets.render", "importlib.import_module('examples.train_demo_models')"),
        ("mmrag.images.load", "from mmrag.embedding import VisualizedBGE"),
        ("mmrag.rerank.listwise", "from mmrag import Query"),
        ("llama_index.llms.phi3_vision.base", "import mmrag"),
        ("mmrag.cli.main", "import torchvision.transforms as T"),
        ("llama_index.llms.phi3_vision.base", "import mmrag.search"),
    ],
)
def test_a_wrong_import_is_found(module, code):
    assert len(faults(code, module)) == 1


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("mmrag.embedding.encode", "from mmrag.images import load_image"),
        ("mmrag.embedding.encode", "from .tower import Tower"),
        ("examples.train_demo_models.encoder", "import mmrag.embedding, mmrag.datasets.render"),
        ("llama_index.llms.phi3_vision.base", "from llama_index.core.llms import LLM"),
        ("mmrag.cli.main", "from llama_index.core import QueryBundle"),
        ("mmrag.cli.main", "from mmrag import Query"),
    ],
)
def test_a_right_import_is_left_alone(module, code):
    assert faults(code, module) == []


def test_mmrag_imports_llama_index_only_above_the_integrations():
    lowest = HEIGHT["llama_index.embeddings"]
    below = [module for module in modules() if HEIGHT[room_of(module) or "mmrag"] < lowest]
    users = [m for m in below if any(n.startswith("llama_index") for n in imports(modules()[m].read_text(), m))]
    assert users == []


@pytest.mark.parametrize(
    ("edges", "circle"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, []),
        ({"a": ["b"], "b": ["a"]}, [["a", "b"]]),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, [["b", "c"]]),
    ],
)
def test_circles_are_found(edges, circle):
    assert circles(edges) == circle


def test_no_file_is_longer_than_300_lines():
    lines = {module: path.read_text(encoding="utf-8").count("\n") for module, path in modules().items()}
    print(f"{len(lines)} files, longest: {Counter(lines).most_common(3)}")
    assert {module: n for module, n in lines.items() if n > MAX_LINES} == {}


def test_no_room_holds_more_than_15_percent_of_the_lines():
    lines: Counter[str] = Counter()
    for module, path in modules().items():
        if not module.startswith("examples"):
            parts = module.split(".")
            lines["llama_index" if parts[0] == "llama_index" else ".".join(parts[:2])] += len(
                path.read_text(encoding="utf-8").splitlines()
            )
    total = lines.total()
    shares = {room: n / total for room, n in lines.most_common()}
    print(f"{total} lines:", ", ".join(f"{room} {share:.1%}" for room, share in shares.items()))
    assert {room: f"{share:.1%}" for room, share in shares.items() if share > MAX_SHARE} == {}


def test_no_class_name_stands_twice():
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for module, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_an_image_is_never_called_a_picture():
    found = []
    for module, tree in trees():
        for node in ast.walk(tree):
            name = getattr(node, "name", None) or getattr(node, "arg", None) or getattr(node, "id", None)
            if isinstance(name, str) and "picture" in name.lower():
                found.append((module, name))
    assert found == []


def test_docstrings_of_modules_are_plain():
    docs = {module: ast.get_docstring(tree) or "" for module, tree in trees()}
    assert [module for module, doc in docs.items() if re.search(r"\bIn: .*\bOut: ", doc, re.DOTALL)] == []
