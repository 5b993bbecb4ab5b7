"""Imports go down the layers, never up; also those inside of functions, and those by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Low to high: a module may import its own layer's and everything below; the longest name counts.
LAYERS = (
    ("mmrag.errors", "mmrag.device", "mmrag.filters", "mmrag.ranking"),
    ("mmrag.images",),
    ("mmrag.query", "mmrag.settings"),
    ("mmrag.datasets",),
    ("mmrag.embedding",),
    ("mmrag.vision",),
    ("mmrag.rerank",),
    ("mmrag.results",),
    ("mmrag.indexing",),
    ("llama_index",),
    ("mmrag.search",),
    ("mmrag.agent_tool",),
    ("llama_index.tools",),
    ("mmrag.reports",),
    ("mmrag.evaluation",),
    ("mmrag.serving",),
    ("mmrag.cli",),
    ("mmrag.testing", "examples"),
)

LAYER = {name: height for height, names in enumerate(LAYERS) for name in names}
FRONT_PAGE = LAYER["mmrag.serving"]  # `from mmrag import …` is for the surfaces and for users
# A second torch build, or none of our business.
BANNED = {"torchvision", "timm", "einops"}
CALLS_THAT_IMPORT = {"import_module", "require", "__import__"}


def layer_of(module: str) -> int | None:
    """The height of a module of ours, or None for anybody else's."""
    while module and module not in LAYER:
        module = module.rpartition(".")[0]
    return LAYER.get(module)


def imported(tree: ast.AST, module: str) -> Iterator[str]:
    """Every module a piece of code imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in CALLS_THAT_IMPORT and isinstance(node.args[0].value, str):
                yield node.args[0].value


def is_front_page(target: str) -> bool:
    """Whether an import goes through `mmrag/__init__.py`, which names everything."""
    top, _, rest = target.partition(".")
    path = ROOT / "mmrag" / rest.partition(".")[0]
    return top == "mmrag" and not (rest and (path.is_dir() or path.with_suffix(".py").is_file()))


def faults(code: str, module: str) -> list[str]:
    """Which imports of a module go up, in words."""
    own = layer_of(module)
    found = []
    for target in imported(ast.parse(code), module):
        height = FRONT_PAGE if is_front_page(target) else layer_of(target)
        if target.split(".")[0] in BANNED:
            found.append(f"{module} imports {target}, which is banned")
        elif own is not None and height is not None and height > own:
            found.append(f"{module} imports {target}, which is above it")
    return found


def sources() -> Iterator[tuple[str, Path]]:
    for root in (ROOT, ROOT / "integrations"):
        for top in ("mmrag", "llama_index", "examples"):
            for path in sorted((root / top).rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                yield ".".join(parts), path


def test_no_module_imports_upwards():
    modules = dict(sources())
    assert {"mmrag.query", "mmrag.embedding.__init__"} <= set(modules)
    # The front page names everything, lazily: the one module that has no layer.
    del modules["mmrag.__init__"]
    assert [fault for name, path in modules.items() for fault in faults(path.read_text(), name)] == []


def test_tests_import_nothing_banned():
    tests = {path: imported(ast.parse(path.read_text()), "") for path in (ROOT / "tests").rglob("*.py")}
    assert [path for path, names in tests.items() if BANNED & {n.split(".")[0] for n in names}] == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("mmrag.embedding.encode", "import mmrag.vision.phi3.model"),
        ("mmrag.embedding.encode", "from mmrag import rerank"),
        ("mmrag.vision.phi3.model", "def ask():\n    from mmrag.rerank.prompts import PROMPT"),
        ("mmrag.vision.phi3.model", "from ...rerank import prompts"),
        ("mmrag.vision.phi3.model", "if TYPE_CHECKING:\n    from mmrag.cli.main import main"),
        ("mmrag.rerank.listwise", "from llama_index.core import QueryBundle"),
        ("mmrag.rerank.listwise", "require('llama_index.core', extra='x', feature='y')"),
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
