"""HTML of a `RerankResult` in a notebook."""

from __future__ import annotations

import re

import PIL.Image

from mmrag.query import Query
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MockVision, malformed, reversing, scripted

RED, BLUE = (PIL.Image.new("RGB", (60, 40), color) for color in ("red", "blue"))


def html_of(vision: MockVision, n: int = 3, **settings) -> str:
    reranked = ListwiseReranker(vision, **settings).rerank(Query("a bag", RED), [BLUE] * n)
    return reranked._repr_html_()


def test_html_shows_order_reason_and_composite():
    html = html_of(MockVision(reversing()))
    assert "best first: <b>3, 2, 1</b>" in html
    assert "because: <b>The last shall be first.</b>" in html
    assert html.count('src="data:image/jpeg;base64,') == 1
    assert "&lt;wish&gt;a bag&lt;/wish&gt;" in html, "the prompt, its own tags escaped"
    assert "repaired" not in html


def test_html_shows_every_call():
    assert html_of(MockVision(reversing()), passes=3).count("<img ") == 3


def test_html_shows_repairs():
    assert "repaired: <b>missing: 9</b>" in html_of(MockVision(malformed("one missing")), n=9)


def test_html_escapes_the_models_text():
    html = html_of(MockVision(scripted('{"order": [1, 2, 3], "reason": "<script>alert(1)"}')))
    assert "&lt;script&gt;alert(1)" in html
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "br", "b", "img", "details", "summary", "pre"}


def test_html_without_calls_shows_the_order():
    html = ListwiseReranker(MockVision(reversing())).rerank(Query("a bag"), [None])._repr_html_()
    assert "best first: <b>1</b>" in html
    assert "repaired: <b>no candidate has an image</b>" in html
