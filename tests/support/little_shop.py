"""A shop of six pictures, and tiny real models to search it with."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

GOLDEN = Path(__file__).parents[1] / "golden"
ENCODER = str(GOLDEN / "visualized_bge" / "base-tiny")
OTHER_ENCODER = str(GOLDEN / "visualized_bge" / "m3-tiny")
RERANKER = str(GOLDEN / "phi3_vision" / "tiny")
COLOURS = ["red", "green", "blue", "orange", "purple", "black"]


def write_shop(folder: Path) -> Path:
    """Write six pictures, a text file, and a table that names the pictures."""
    rows = []
    for number, colour in enumerate(COLOURS):
        picture = Image.new("RGB", (60, 40 + 5 * number), "white")
        ImageDraw.Draw(picture).ellipse((5 * number, 4, 40, 36), fill=colour)
        picture.save(folder / f"{colour}.png")
        rows.append({"file": f"{colour}.png", "title": f"{colour} dot", "price": 10.0 * number})
    (folder / "notes.txt").write_text("no picture")
    (folder / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
