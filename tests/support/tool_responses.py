"""Reads what the image search tools return: a `ToolResponse`, or the blocks of a LlamaIndex tool."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image


def parse_response(response) -> dict:
    text = response[0].text if isinstance(response, list) else response.text
    return json.loads(text)


def titles(response) -> list[str]:
    return [result["title"] for result in parse_response(response)["results"]]


def contact_sheet(blocks) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(blocks[1].image)))


def to_data_uri(image: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"
