"""The search page by keyboard, by screen reader, on narrow and dark screens; and its error messages."""

from __future__ import annotations

import re

import pytest
from web_page import DESKTOP, PHONE, RERANKED, ask, in_a_browser, shoot, wait_until

pytestmark = in_a_browser


def test_every_step_works_by_keyboard_alone(page, leopard):
    def tab_to(selector):
        for _ in range(60):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab never comes to {selector}")

    press = page.keyboard.press
    page.keyboard.type("red mug")  # the page opens with the cursor in it
    press("Enter")
    page.wait_for_selector(RERANKED)
    tab_to("#reranked .tile")
    assert page.locator("#arrows g.highlighted").count() == 1
    press("Enter")
    page.keyboard.type("blue")
    press("Enter")
    wait_until(page, "location.search.includes('image_id=')")
    page.wait_for_selector(RERANKED)
    tab_to("#show-calls")
    press("Enter")
    page.wait_for_selector("#calls-dialog[open]")
    press("Escape")
    tab_to("#retrieved .title")
    press("Enter")
    page.wait_for_selector("#details[open]")
    press("Escape")
    page.evaluate("document.activeElement.blur()")
    tab_to("#remove")
    press("Enter")
    assert page.evaluate("document.activeElement.id") == "file"
    with page.expect_file_chooser() as chooser:
        press("Space")
    chooser.value.set_files(leopard)
    assert page.is_visible("#query-image")


def test_every_image_has_an_alt_text_and_every_button_a_name(page, leopard):
    page.set_input_files("#file", leopard)
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.click("#show-calls")
    nameless = page.evaluate("""() => {
        const all = (tag) => [...document.querySelectorAll(tag)].filter((e) => e.checkVisibility());
        const inner = (button) => button.innerText.trim() || button.querySelector("img")?.alt;
        const images = all("img").filter((image) => !image.alt);
        const buttons = all("button").filter((button) => !button.ariaLabel && !inner(button));
        const inputs = all("input").filter((input) => !input.ariaLabel && !input.labels.length);
        return [...images, ...buttons, ...inputs].map((element) => element.outerHTML);
    }""")
    assert nameless == []
    alts = page.locator("#reranked img").evaluate_all("all => all.map(i => i.alt)")
    assert re.fullmatch(r"1: blue [a-z -]+, was \d", alts[0])


def test_a_phone_never_scrolls_sideways(page):
    page.set_viewport_size({"width": 360, "height": 740})
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    left, right = (page.locator(f"#{row}").bounding_box() for row in ("retrieved", "reranked"))
    assert left["x"] + left["width"] < right["x"]
    assert abs(left["y"] - right["y"]) < 2


def test_dark_mode_is_readable(page):
    page.emulate_media(color_scheme="dark")
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    ink, paper = page.evaluate("""() => {
        const style = getComputedStyle(document.body);
        const light = (c) => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3;
        return [light(style.color), light(style.backgroundColor)];
    }""")
    assert ink - paper > 150
    shoot(page, "1280-dark")


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])
def test_an_error_message_is_shown_until_the_next_search(page, screen):
    page.set_viewport_size(screen)
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.fill("#filter", "price <")
    page.click("#search")
    page.wait_for_selector("#error:not([hidden])")
    assert "filter, column 8: expected a value" in page.inner_text("#error")
    shoot(page, f"{screen['width']}-error")
    page.fill("#filter", "")
    page.click("#search")
    page.wait_for_selector("#error", state="hidden")
    page.wait_for_selector(RERANKED)


def test_a_file_that_is_too_large_or_no_image_is_not_sent(page, tmp_path):
    (tmp_path / "big.png").write_bytes(b"x" * 1_100_000)
    (tmp_path / "notes.txt").write_text("hello")
    for name, message in (("big.png", "larger than 1 MB"), ("notes.txt", "is no image")):
        page.set_input_files("#file", tmp_path / name)
        assert message in page.inner_text("#error")
        assert page.is_hidden("#query-image")


def test_a_busy_vision_llm_shows_the_retrieved_row_and_an_error(page, browser, gate_open, gated_server):
    gate_open.clear()
    gated_server[0].waits.clear()
    ask(page, "red")
    assert gated_server[0].waits.wait(20)
    other = browser.new_page()
    other.goto(f"{gated_server[1]}/?q=blue")
    other.wait_for_selector("#error:not([hidden])")
    assert "The order is that of retrieval: the vision LLM is busy" in other.inner_text("#error")
    assert other.locator("#retrieved .card").count() == 9
    assert other.is_hidden("#reranked-row")
    other.close()
    gate_open.set()
    page.wait_for_selector(RERANKED)


def test_no_result_shows_a_message(page):
    page.fill("#filter", 'product == "boat"')
    ask(page, "red")
    wait_until(page, "document.querySelector('#status').textContent.startsWith('Nothing')")
    assert page.is_hidden("#reranked-row")
