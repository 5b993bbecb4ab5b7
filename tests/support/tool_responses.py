"""Parsers of the image search tools' responses."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image


def parse_response(blocks) -> dict:
    return json.loads(blocks[0].text)


def titles(blocks) -> list[str]:
    return [result["title"] for result in parse_response(blocks)["results"]]


def contact_sheet(blocks) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(blocks[1].image)))


def in_memory(image: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"
