"""Draws docs/rooms.svg from the import graph, and docs/data.svg: `make docs`; with --check it only compares."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
from import_graph import LEVELS, graph, room_of  # noqa: E402 - needs the path above

STYLE = """
    text { font-family: ui-sans-serif, system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2430 }
    .paper { fill: #ffffff } .name { font-size: 15px; font-weight: 600 } .words { font-size: 12.5px; fill: #4a5263 }
    .box { stroke-width: 1.2; rx: 8px } .arrow { stroke: #6b7485; fill: none } .head { fill: #6b7485 }
    .base { fill: #f1f3f6; stroke: #aab2c0 } .model { fill: #e5effc; stroke: #7ba6dd }
    .index { fill: #e4f4ec; stroke: #74b795 } .llama { fill: #efe8fb; stroke: #a58bd6 }
    .result { fill: #fdf2d8; stroke: #d9b04f } .surface { fill: #fdeae4; stroke: #dd957d }
    @media (prefers-color-scheme: dark) {
      text { fill: #e8ebf1 } .paper { fill: #14171d } .words { fill: #b3bbc9 }
      .arrow { stroke: #8d97a9 } .head { fill: #8d97a9 }
      .base { fill: #232831; stroke: #4d5666 } .model { fill: #1a2c45; stroke: #4474b3 }
      .index { fill: #18322a; stroke: #3f8363 } .llama { fill: #2b2143; stroke: #7559b0 }
      .result { fill: #383017; stroke: #957629 } .surface { fill: #3d231c; stroke: #a7604a }
    }"""

UNIT, BOX, GAP, MARGIN, PAD = 76, 60, 38, 20, 6
MANY = 4  # imports, from which on an arrow is thick


# The lazy front page, and what stands beside the stack: nothing imports it.
BESIDE = ("mmrag", "mmrag.testing", "examples")


@dataclass(frozen=True)
class Box:
    """A box of the drawing: its row from the bottom, its left and right end in units, and what it holds."""

    name: str
    row: int
    left: float
    right: float
    kind: str
    words: str


ROOMS = {
    "base": Box("errors · device · filters · ranking", 0, 0, 14, "base", "exceptions, filters, complete rankings"),
    "mmrag.images": Box("images", 1, 0, 11, "base", "any source, decoded once, upright and in limits"),
    "mmrag.datasets": Box("datasets", 1, 11, 14, "base", "the drawn catalog"),
    "mmrag.indexing": Box("indexing", 2, 0, 3, "index", "sources, pipeline, report"),
    "mmrag.query": Box("query · settings", 2, 3, 7, "base", "text, image or both"),
    "mmrag.vision": Box("vision", 2, 7, 11, "model", "Phi-3 Vision and remote vision LLMs"),
    "mmrag.embedding": Box("embedding", 3, 3, 5.5, "model", "one space for all"),
    "mmrag.rerank": Box("rerank", 3, 5.5, 11, "model", "composite image, prompts, listwise ranking"),
    "mmrag.results": Box("results", 4, 5.5, 11, "result", "RankedImages: what every search gives"),
    "llama_index": Box("llama_index", 5, 0, 8, "llama", "embeddings · llms · postprocessor · indices, over Milvus"),
    "mmrag.agent_tool": Box("agent_tool", 6, 0, 3, "llama", "search as a tool call"),
    "mmrag.search": Box("search · collections", 6, 3, 8, "result", "ImageSearcher: opens an index, runs its engine"),
    "mmrag.reports": Box("reports", 6, 8, 11, "surface", "contact sheets, HTML"),
    "llama_index.tools": Box("llama_index.tools", 7, 0, 2.3, "llama", "the tool for agents"),
    "mmrag.evaluation": Box("evaluation", 7, 6, 11, "surface", "CIRR, FashionIQ, CIRCO, own folders; metrics"),
    "mmrag.serving": Box("serving", 8, 2.3, 6, "surface", "search page, JSON API, MCP"),
    "mmrag.cli": Box("cli", 9, 0, 14, "surface", "index, search, serve, mcp, eval, doctor, demo"),
}  # fmt: skip
SHARED_BOXES = {"mmrag.settings": "mmrag.query", "mmrag.collections": "mmrag.search"}


def box_of(module: str) -> str | None:
    """Return the box a module is drawn in; None for what stands beside the stack."""
    room = room_of(module)
    if room in LEVELS[0]:
        return "base"
    if room in SHARED_BOXES:
        return SHARED_BOXES[room]
    if room in BESIDE:
        return None
    if room and room.startswith("llama_index") and room != "llama_index.tools":
        return "llama_index"
    if room not in ROOMS:
        raise SystemExit(f"{module} is drawn nowhere: give {room} a box in ROOMS of {Path(__file__).name}")
    return room


def arrows() -> dict[tuple[str, str], int]:
    """Return the imports between boxes and their number, without those that a longer chain of imports implies."""
    counts: Counter[tuple[str, str]] = Counter()
    for module, targets in graph().items():
        pairs = ((box_of(module), box_of(target)) for target in targets)
        counts.update((a, b) for a, b in pairs if a and b and a != b)
    below: defaultdict[str, set[str]] = defaultdict(set)
    for source, target in counts:
        below[source].add(target)

    def reachable(box: str) -> set[str]:
        return below[box].union(*map(reachable, below[box]))

    implied = {(a, c) for a in ROOMS for b in below[a] for c in reachable(b)}
    return {pair: count for pair, count in sorted(counts.items()) if pair not in implied}


def lane(upper: Box, lower: Box) -> float:
    """Return where a straight arrow goes down from one box to another without touching a third, in units."""
    free = [(max(upper.left, lower.left), min(upper.right, lower.right))]
    for box in ROOMS.values():
        if lower.row < box.row < upper.row:
            free = [part for a, b in free for part in ((a, min(b, box.left)), (max(a, box.right), b))]
    start, end = max(free, key=lambda part: part[1] - part[0])
    if end - start < 0.4:
        raise SystemExit(
            f"no free way from {upper.name} down to {lower.name}: move boxes in ROOMS of {Path(__file__).name}"
        )
    return (start + end) / 2


def draw_rooms() -> str:
    """Return the drawing of the rooms, as SVG."""
    top = max(box.row for box in ROOMS.values())
    width, height = 14 * UNIT + 2 * MARGIN, (top + 1) * (BOX + GAP) - GAP + 2 * MARGIN
    y = {box.row: MARGIN + (top - box.row) * (BOX + GAP) for box in ROOMS.values()}
    parts: list[str] = []
    for (source, target), count in arrows().items():
        upper, lower = ROOMS[source], ROOMS[target]
        x = MARGIN + lane(upper, lower) * UNIT
        parts.append(draw_arrow((x, y[upper.row] + BOX), (x, y[lower.row]), thick=count >= MANY))
    for box in ROOMS.values():
        left, right = MARGIN + box.left * UNIT + PAD, MARGIN + box.right * UNIT - PAD
        parts.append(draw_box(left, y[box.row], right - left, BOX, box.kind, box.name, [box.words]))
    return svg(width, height, "The rooms of mmrag: each imports only what is below it", parts)


def draw_data() -> str:
    """Return the drawing of how an image gets into the index and a query to its results, as SVG."""
    search, index, tall, width = 50, 226, 238, 1104
    boxes = [
        (20, search, 124, 62, "base", "text, image", ["or both"]),
        (178, search, 134, 62, "base", "Query", ["read and checked"]),
        (20, index, 124, 62, "base", "folder, glob", ["table, iterable"]),
        (178, index, 134, 62, "index", "pipeline", ["hash, decode once"]),
        (346, search, 116, tall, "model", "Encoder", ["text, image or", "both: one space"]),
        (528, search, 116, tall, "llama", "Milvus", ["upsert by", "content hash,", "top k by cosine"]),
        (728, search, 138, 62, "model", "Reranker", ["sees the images"]),
        (938, search, 146, 62, "result", "RankedImages", ["none is lost"]),
    ]
    steps = [
        (144, 178, search, ""), (312, 346, search, ""), (462, 528, search, "vector"), (644, 728, search, "candidates"),
        (866, 938, search, "ranking"), (144, 178, index, ""), (312, 346, index, ""), (462, 528, index, "vectors"),
    ]  # fmt: skip
    parts = [draw_text(20, y - 16, words, "name", "start") for y, words in ((search, "Search"), (index, "Index"))]
    for start, end, y, words in steps:
        parts.append(draw_arrow((start, y + 31), (end, y + 31), thick=False))
        parts += [draw_text((start + end) / 2, y + 21, words, "words")] if words else []
    parts += [draw_box(*box) for box in boxes]
    parts.append(draw_arrow((1011, search + 62), (1011, 158), thick=False))
    parts.append('<rect class="box base" x="728" y="158" width="356" height="130"/>')
    for n, name in enumerate(("CLI", "page", "MCP", "agent tool", "notebook", "evaluation")):
        parts.append(draw_box(738 + n % 3 * 114, 170 + n // 3 * 58, 108, 48, "surface", name, []))
    return svg(width, 308, "The way of the data: from an image and a sentence to ranked images", parts)


def draw_box(x: float, y: float, width: float, height: float, kind: str, name: str, words: list[str]) -> str:
    """Return a rounded box with a name and lines of small text, centered."""
    middle, first = x + width / 2, y + height / 2 - 9 * len(words) + 5
    rect = f'<rect class="box {kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>'
    lines = [draw_text(middle, first + 19 + 17 * n, line, "words") for n, line in enumerate(words)]
    return "\n  ".join([rect, draw_text(middle, first, name, "name"), *lines])


def draw_text(x: float, y: float, words: str, style: str, anchor: str = "middle") -> str:
    """Return a line of text, by default centered at x."""
    return f'<text class="{style}" text-anchor="{anchor}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def draw_arrow(start: tuple[float, float], end: tuple[float, float], *, thick: bool) -> str:
    """Return a straight arrow, down or to the right."""
    (x1, y1), (x2, y2) = start, end
    size = 6.5 if thick else 5
    if x1 == x2:
        line, head = (x2, y2 - size), f"{x2 - size:g},{y2 - 1.7 * size:g} {x2 + size:g},{y2 - 1.7 * size:g}"
    else:
        line, head = (x2 - size, y2), f"{x2 - 1.7 * size:g},{y2 - size:g} {x2 - 1.7 * size:g},{y2 + size:g}"
    return (
        f'<path class="arrow" stroke-width="{3.2 if thick else 1.5}" d="M{x1:g} {y1:g}L{line[0]:g} {line[1]:g}"/>'
        f'<polygon class="head" points="{x2:g},{y2:g} {head}"/>'
    )


def svg(width: float, height: float, title: str, parts: list[str]) -> str:
    """Return a whole drawing on paper of its own, for light and dark pages."""
    body = "\n  ".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">
  <title>{escape(title)}</title>
  <style>{STYLE}
  </style>
  <rect class="paper" width="{width:g}" height="{height:g}" rx="12"/>
  {body}
</svg>
"""


def main(check: bool) -> None:
    """Write both drawings, or exit with the name of the one that is not current."""
    for name, drawing in (("rooms.svg", draw_rooms()), ("data.svg", draw_data())):
        file = HERE / name
        if check and (not file.is_file() or file.read_text(encoding="utf-8") != drawing):
            raise SystemExit(f"docs/{name} is not what the code is now: run `make docs`, look at it, commit it")
        if not check:
            file.write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
