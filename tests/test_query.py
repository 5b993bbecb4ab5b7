"""Query: text, image or both, and its round trip through one Markdown string."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from mmrag.errors import QueryError
from mmrag.query import Query

words = st.text() | st.text(alphabet="![]()<>\\ \n\"'a.")
paths = words.filter(lambda path: path != "")


@given(text=words, path=paths | st.none())
@example(text="", path=" ")
@example(text="\\![](a)", path="my (old) <cup>\\.jpg")
@example(text="a ![](b.jpg)", path='c "title"')
def test_str_and_parse_are_a_round_trip(text, path):
    if text.strip() or path:
        query = Query(text, path)
        assert Query.parse(str(query)) == query


@given(string=words)
def test_any_string_parses_or_raises_queryerror(string):
    try:
        query = Query.parse(string)
    except QueryError:
        return
    assert Query.parse(str(query)) == query


@pytest.mark.parametrize(
    ("string", "text", "image"),
    [
        ("phone case with this ![](leopard.jpg)", "phone case with this", "leopard.jpg"),
        ("![a leopard](leopard.jpg) as a phone case", "as a phone case", "leopard.jpg"),
        ("a mug ![](cup.jpg) in red", "a mug in red", "cup.jpg"),
        ("![](cup.jpg)", "", "cup.jpg"),
        ("a mug", "a mug", None),
        ("![](my cups/old one (1).jpg)", "", "my cups/old one (1).jpg"),
        ("![](<my cups/old :) one.jpg>)", "", "my cups/old :) one.jpg"),
        (r"![](smile\).jpg)", "", "smile).jpg"),
        ('![](cup.jpg "a blue cup")', "", "cup.jpg"),
        ("![](<cup one.jpg> 'a blue cup')", "", "cup one.jpg"),
        (r"![a \] bracket](cup.jpg)", "", "cup.jpg"),
        ("![a cup [blue], new](cup.jpg)", "", "cup.jpg"),
        ("![](cup.jpg) or ![the same](cup.jpg)", "or", "cup.jpg"),
        ("![](https://shop.example/cup.jpg?size=2)", "", "https://shop.example/cup.jpg?size=2"),
        ("![](data:image/gif;base64,R0lGOD==)", "", "data:image/gif;base64,R0lGOD=="),
        ("чашка ![](фото/чашка 1.jpg)", "чашка", "фото/чашка 1.jpg"),
    ],
)
def test_parse_reads_one_markdown_image(string, text, image):
    assert Query.parse(string) == Query(text, image)


@pytest.mark.parametrize(
    "string",
    [
        "wow![", "![alt]", "![alt] (a.jpg)", "![](", "![]()", "![](  )", "![](<>)", "! [](a.jpg)",
        "[a link](a.jpg)", "5! [see](b)", "![a](b", "![a[b](c.jpg)", "![](un(closed.jpg)",
    ],
)  # fmt: skip
def test_an_incomplete_markdown_image_stays_text(string):
    assert Query.parse(string) == Query(string)


def test_an_escaped_markdown_image_stays_text():
    assert Query.parse(r"write \![](a.jpg)") == Query("write ![](a.jpg)")
    assert Query.parse(r"C:\new\\![](a.jpg)") == Query(r"C:\new" + "\\", "a.jpg")


def test_a_data_uri_of_megabytes_parses_in_little_memory():
    uri = "data:image/png;base64," + "A" * 2_000_000
    tracemalloc.start()
    try:
        assert Query.parse(f"a mug ![]({uri})").image == uri
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 * len(uri)


def test_two_different_images_are_refused_by_name():
    with pytest.raises(QueryError, match=r"2 images \('a.jpg', 'b.jpg'\): keep one"):
        Query.parse("![](a.jpg) or ![](b.jpg)")


@pytest.mark.parametrize(("text", "image"), [("", None), (" \n", None), ("", "")])
def test_an_empty_query_is_refused(text, image):
    with pytest.raises(QueryError, match="empty: give a text, an image, or both"):
        Query(text, image)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(QueryError, match=r"character 5 .* UTF-8"):
        Query("mug \ud83d")


def test_a_path_object_is_formatted_as_its_path():
    assert str(Query("mug", Path("my cups/a.jpg"))) == "mug ![](<my cups/a.jpg>)"


@pytest.mark.parametrize("image", [b"GIF89a", Image.new("RGB", (2, 2))])
def test_an_image_in_memory_cannot_be_formatted(image):
    with pytest.raises(QueryError, match="save the image and give its path"):
        str(Query("mug", image))


def test_repr_holds_no_image_bytes():
    assert repr(Query("mug", b"\xff" * 1000)) == "Query(text='mug', image=bytes (1000))"


def test_a_query_is_frozen():
    with pytest.raises(AttributeError):
        Query("mug").text = "cup"


def test_many_incomplete_images_parse_in_linear_time():
    for piece in ("![](", "![", "![](<", "![](\\", '![](" ', "\\", "![](a.jpg ", "![]( "):
        assert Query.parse("x" + piece * 20_000).image is None
