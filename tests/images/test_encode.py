"""Thumbnails and `<img>` tags; no title breaks out of its tag."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmrag.images.encode import img_tag, thumbnail


class Tags(HTMLParser):
    """All tags of an HTML text, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_an_img_tag_holds_the_image_itself():
    [(name, facts)] = Tags(img_tag(Image.new("RGB", (30, 20), "red"), "a red one")).found
    header, _, data = facts["src"].partition(",")
    assert (name, header, facts["alt"]) == ("img", "data:image/jpeg;base64", "a red one")
    held = Image.open(io.BytesIO(base64.b64decode(data)))
    assert held.size == (30, 20)
    assert held.getpixel((15, 10))[0] > 240


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")))
def test_any_title_stays_inside_one_img_tag(title):
    [(name, facts)] = Tags(img_tag(Image.new("L", (1, 1)), title)).found
    assert (name, facts["alt"]) == ("img", title)


def test_a_thumbnail_keeps_the_aspect_ratio_on_white():
    square = thumbnail(Image.new("RGB", (200, 100), "red"), 50)
    assert square.size == (50, 50)
    assert square.getpixel((25, 25)) == (255, 0, 0)
    assert square.getpixel((25, 5)) == (255, 255, 255)


def test_the_thumbnail_of_a_missing_image_says_so(tmp_path):
    gone = thumbnail(tmp_path / "gone.jpg", 64)
    assert gone.size == (64, 64)
    assert len(gone.getcolors(64 * 64) or []) > 1, "a word is written on it"
