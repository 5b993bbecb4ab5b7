"""The search page with odd images and titles, on odd screens, and when the server or the vision LLM fails."""

from __future__ import annotations

import threading

import pytest
from live_server import serving
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from PIL import Image
from web_page import DESKTOP, PHONE, RERANKED, ask, in_a_browser, shoot, wait_until

from mmrag.datasets import draw_product
from mmrag.errors import AnswerError
from mmrag.serving.app import create_app
from mmrag.testing import MockVision, failing, reversing

pytestmark = in_a_browser

TITLES = {
    "red": "<b>bold</b><img src=x onerror=alert(1)>",
    "blue": "כוס כחולה",
    "green": "very " * 60 + "long",
    "tan": "   ",
    "black": "soon gone",
}
SCREENS = pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])


@pytest.fixture(scope="module")
def odd_server(shop, tmp_path_factory):
    """URL of a server of five mugs with odd titles; the file of the black one is deleted."""
    folder = tmp_path_factory.mktemp("odd")
    for color in TITLES:
        draw_product("mug", "plain", color, 1).save(folder / f"{color}.jpg")
    metadata = {f"{color}.jpg": {"title": title} for color, title in TITLES.items()}
    place, embedding = folder / "odd.db", VisualizedBGEEmbedding(encoder=shop.encoder)
    with ComposedImageIndex.open(place, embedding, "odd", scalar_fields={"title": str}) as index:
        index.add_folder(folder, metadata=metadata)
        (folder / "black.jpg").unlink()
        searcher = type(shop.searcher())(index, shop.encoder, MockVision(reversing()))
        with serving(create_app(searcher)) as address:
            yield address


@pytest.fixture
def odd(browser, odd_server):
    page = browser.new_page()
    page.goto(odd_server)
    yield page
    page.close()


def fault(page) -> str:
    page.wait_for_selector("#error:not([hidden])")
    return page.inner_text("#error")


def test_an_image_that_no_browser_shows_is_shown_by_its_name(page, tmp_path, leopard):
    Image.open(leopard).save(tmp_path / "leopard.tiff")
    page.set_input_files("#file", tmp_path / "leopard.tiff")
    wait_until(page, "document.querySelector('#drop').innerText.includes('leopard.tiff')")
    assert page.is_hidden("#query-image")
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    wait_until(page, "document.querySelector('#query-image').naturalWidth > 0")  # from the server
    page.click("#remove")
    assert "leopard" not in page.inner_text("#drop")


def test_a_damaged_image_shows_an_error_about_the_query_image(page, tmp_path, leopard):
    (tmp_path / "half.png").write_bytes(leopard.read_bytes()[:2000])
    page.set_input_files("#file", tmp_path / "half.png")
    page.click("#search")
    assert fault(page).startswith("the query's image is damaged or cut off")


def test_a_vision_llm_that_fails_shows_an_error_and_no_second_row(page, gated_server, monkeypatch):
    monkeypatch.setattr(gated_server[0], "answer", failing(AnswerError("it is tired")))
    ask(page, "red")
    assert fault(page) == "The order is that of retrieval: it is tired"
    assert page.locator("#retrieved .card").count() == 9
    assert page.is_hidden("#reranked-row")
    assert page.is_hidden("#verdict")


def test_a_server_that_stops_during_reranking_shows_an_error_and_stops_waiting(browser, shop, gate):
    page = browser.new_page()
    with serving(create_app(shop.searcher(MockVision(gate)))) as address:
        page.goto(f"{address}/?q=red")
        page.wait_for_selector("#reranked .waiting")
        threading.Timer(3, gate.opened.set).start()  # the server waits for its model to end
    assert fault(page) == "The server does not answer: look whether mmrag serve still runs."
    assert page.locator("#retrieved .card").count() == 9
    assert page.is_hidden("#reranked-row")
    page.close()


@SCREENS
def test_odd_titles_are_plain_text_and_keep_the_layout(odd, screen):
    odd.set_viewport_size(screen)
    ask(odd, "red")
    odd.wait_for_selector(RERANKED)
    shoot(odd, f"{screen['width']}-odd-titles")
    titles = odd.locator("#retrieved .title").all_inner_texts()
    assert {TITLES["red"], TITLES["blue"], "tan"} <= set(titles)
    assert odd.evaluate("document.documentElement.scrollWidth <= innerWidth")
    odd.locator("#retrieved .title", has_text="very").click()
    close = odd.locator("#details [aria-label=Close]").bounding_box()
    assert close["width"] == close["height"]
    odd.keyboard.press("Escape")
    odd.locator("#retrieved .title", has_text=TITLES["blue"]).click()
    assert odd.evaluate("getComputedStyle(document.querySelector('#details-title')).direction") == ("rtl")


def test_a_result_whose_file_was_deleted_is_marked_gone(odd):
    ask(odd, "black")
    odd.wait_for_selector(RERANKED)
    tile = odd.locator("#retrieved .card", has_text="soon gone").locator(".tile")
    wait_until(odd, "document.querySelectorAll('#retrieved .tile.gone').length === 1")
    assert "gone" in tile.get_attribute("class")
    assert not tile.locator("img").is_visible()


def test_right_to_left_text_is_written_right_to_left(page):
    page.fill("#text", "كوب أحمر")
    assert page.evaluate("getComputedStyle(document.querySelector('#text')).direction") == "rtl"


def test_no_result_shows_no_empty_rows(page):
    page.fill("#filter", 'product == "boat"')
    ask(page, "red")
    wait_until(page, "document.querySelector('#status').textContent.startsWith('Nothing')")
    assert page.is_hidden("#rows")
    page.fill("#filter", "")
    ask(page, "red")
    page.wait_for_selector(RERANKED)


@pytest.mark.parametrize("width", [320, 800, 1000])
def test_the_filter_field_is_wide_enough_on_every_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.locator("#filter").bounding_box()["width"] >= 200
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_tabs_and_history_entries_are_named_after_the_query(page):
    assert page.title() == "Search shop · mmrag"
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    assert page.title() == "red · shop · mmrag"
    page.go_back()
    wait_until(page, "document.title === 'Search shop · mmrag'")


def test_text_can_be_dropped_into_a_field_and_nowhere_else(page):
    drop = """(selector) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text/plain", "mug");
        const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector(selector).dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    assert page.evaluate(drop, "#text") is False  # the browser's own way puts it there
    assert page.is_hidden("#error")
    assert page.evaluate(drop, "#drop") is True
    assert "no file" in fault(page)
