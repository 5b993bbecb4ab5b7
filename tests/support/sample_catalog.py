"""A catalog of six images, and tiny real models to search it with."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

GOLDEN = Path(__file__).parents[1] / "golden"
ENCODER = str(GOLDEN / "visualized_bge" / "base-tiny")
OTHER_ENCODER = str(GOLDEN / "visualized_bge" / "m3-tiny")
RERANKER = str(GOLDEN / "phi3_vision" / "tiny")
COLORS = ["red", "green", "blue", "orange", "purple", "black"]


def write_sample_catalog(folder: Path) -> Path:
    """Write six images, a text file, and a table that names the images."""
    rows = []
    for number, color in enumerate(COLORS):
        image = Image.new("RGB", (60, 40 + 5 * number), "white")
        ImageDraw.Draw(image).ellipse((5 * number, 4, 40, 36), fill=color)
        image.save(folder / f"{color}.png")
        rows.append({"file": f"{color}.png", "title": f"{color} dot", "price": 10.0 * number})
    (folder / "notes.txt").write_text("no image")
    (folder / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
