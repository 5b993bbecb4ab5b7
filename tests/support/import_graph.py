"""The rooms of this repository, and who imports whom: read from the source, nothing is imported.

A module is named as in an import statement; a package stands for its `__init__.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("mmrag", "integrations/llama_index", "examples")

# Bottom to top: a module may import its own level's and everything below.
LEVELS = (
    ("mmrag.errors", "mmrag.device", "mmrag.filters", "mmrag.ranking"),
    ("mmrag.images",),
    ("mmrag.query", "mmrag.settings"),
    ("mmrag.datasets",),
    ("mmrag.embedding",),
    ("mmrag.vision",),
    ("mmrag.rerank",),
    ("mmrag.results",),
    ("mmrag.indexing",),
    ("llama_index.embeddings", "llama_index.indices", "llama_index.llms", "llama_index.postprocessor"),
    ("mmrag.collections", "mmrag.search"),
    ("mmrag.agent_tool",),
    ("llama_index.tools",),
    ("mmrag.reports",),
    ("mmrag.evaluation",),
    ("mmrag",),  # `from mmrag import …` is for the surfaces and for users
    ("mmrag.serving",),
    ("mmrag.cli",),
    ("mmrag.testing", "examples"),
)
HEIGHT = {room: height for height, rooms in enumerate(LEVELS) for room in rooms}
CALLS_THAT_IMPORT = {"import_module", "require", "__import__"}


@cache
def modules() -> Mapping[str, Path]:
    """Return every module of ours and its file."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        base = (ROOT / folder).parent
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room_of(module: str) -> str | None:
    """Return the room a module belongs to; None for a module of ours that has no room, and for others' modules.

    The front page `mmrag` is a room of its own: it is no room for whatever has none.
    """
    if module == "mmrag":
        return module
    while module and (module not in HEIGHT or module == "mmrag"):
        module = module.rpartition(".")[0]
    return module or None


def imports(code: str, module: str, *, package: bool = False) -> Iterator[str]:
    """Yield every dotted name that code imports: also inside of functions, for types only, and by name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = parts[: len(parts) - node.level + package] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in CALLS_THAT_IMPORT and isinstance(node.args[0].value, str):
                yield node.args[0].value


def home_of(name: str) -> str | None:
    """Return the module of ours that an imported name stands in, or None for others' modules."""
    known = modules()
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


@cache
def graph() -> Mapping[str, frozenset[str]]:
    """Return what each module of ours imports of ours."""
    edges: dict[str, frozenset[str]] = {}
    for module, path in modules().items():
        names = imports(path.read_text(encoding="utf-8"), module, package=path.name == "__init__.py")
        edges[module] = frozenset(home for name in names if (home := home_of(name)) and home != module)
    return edges


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return import circles, each as the modules on it; a graph without any gives an empty list."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(path[path.index(module) :])
        elif module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return found
