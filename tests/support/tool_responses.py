"""How tests read what the image search tools answer."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image


def told(blocks) -> dict:
    return json.loads(blocks[0].text)


def titles(blocks) -> list[str]:
    return [result["title"] for result in told(blocks)["results"]]


def sheet(blocks) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(blocks[1].image)))


def in_memory(image: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"
