"""The search page in Chromium: search by text and image, on a desktop and on a phone."""

from __future__ import annotations

import base64
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from web_page import DESKTOP, PHONE, RERANKED, ask, in_a_browser, shoot, titles, wait_until

pytestmark = in_a_browser


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])
def test_retrieved_results_come_first_and_arrows_show_the_reranking(page, gate_open, leopard, screen):
    page.set_viewport_size(screen)
    shoot(page, f"{screen['width']}-empty")
    gate_open.clear()
    page.set_input_files("#file", leopard)
    ask(page, "red")
    page.wait_for_selector("#retrieved .card")
    assert page.locator("#reranked .waiting").count() == 9
    assert "The vision LLM is looking …" in page.inner_text("#status")
    shoot(page, f"{screen['width']}-retrieved")

    gate_open.set()
    page.wait_for_selector(RERANKED)
    before, after = titles(page, "retrieved"), titles(page, "reranked")
    assert sorted(before) == sorted(after)
    assert before[0].startswith("red")
    assert after[0].startswith("blue")
    arrows = page.locator("#arrows g").evaluate_all("all => all.map(g => g.className.baseVal)")
    ways = ["up" if before.index(t) > k else "down" if before.index(t) < k else "same"
            for k, t in enumerate(after)]  # fmt: skip
    assert arrows == ways
    words = [t.strip() for t in page.locator("#reranked .change").all_inner_texts()]
    assert words[0] == f"▲{before.index(after[0])}"
    assert page.inner_text("#reason") == "I see."
    assert {"encode", "search", "rank"} <= set(page.locator("#timings dt").all_inner_texts())
    assert all(re.fullmatch(r"-?\d\.\d{3}", s) for s in page.locator(".score").all_inner_texts())
    shoot(page, f"{screen['width']}-reranked")


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])
def test_each_arrow_joins_the_two_cards_of_an_image(page, screen):
    page.set_viewport_size(screen)
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.wait_for_timeout(400)
    far = page.evaluate("""() => {
        const axis = innerWidth < 760 ? "y" : "x", side = axis === "y" ? "height" : "width";
        const frame = document.querySelector("#arrows").getBoundingClientRect();
        const middle = (list, id) => {
            const tile = document.querySelector(`#${list} [data-id="${id}"] .tile`);
            const box = tile.getBoundingClientRect();
            return box[axis] + box[side] / 2 - frame[axis];
        };
        const misses = [...document.querySelectorAll("#arrows g")].flatMap((g) => {
            const line = g.querySelector(".line"), id = g.dataset.id;
            return [line.getPointAtLength(0)[axis] - middle("retrieved", id),
                    line.getPointAtLength(1e6)[axis] - middle("reranked", id)];
        });
        return Math.max(...misses.map(Math.abs));
    }""")
    assert far < 3


def test_a_result_becomes_the_next_query_image_and_the_link_is_shareable(page, browser):
    ask(page, "red mug")
    page.wait_for_selector(RERANKED)
    chosen = page.locator("#retrieved .card").first
    id, title = chosen.get_attribute("data-id"), chosen.locator(".title").inner_text()
    chosen.locator(".tile").click()
    assert page.get_attribute("#query-image", "alt") == f"The query's image: {title}"
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("green")  # it was selected: typing replaces it
    page.keyboard.press("Enter")
    wait_until(page, "location.search.includes('image_id=')")
    page.wait_for_selector(RERANKED)
    query = {key: value[0] for key, value in parse_qs(urlsplit(page.url).query).items()}
    assert query == {"q": "green", "image_id": id}

    other = browser.new_page()
    other.goto(page.url)
    other.wait_for_selector(RERANKED)
    assert titles(other, "reranked") == titles(page, "reranked")
    assert other.is_visible("#query-image")
    other.close()
    page.go_back()
    wait_until(page, "document.querySelector('#text').value === 'red mug'")
    page.wait_for_selector("#query-image", state="hidden")


def test_a_search_by_an_uploaded_image_has_a_link(page, browser, leopard):
    page.set_input_files("#file", leopard)
    ask(page, "mug")
    page.wait_for_selector(RERANKED)
    page.click("#share")
    wait_until(page, "document.querySelector('#status').textContent.includes('copied')")
    other = browser.new_page()
    other.goto(page.evaluate("navigator.clipboard.readText()"))
    other.wait_for_selector(RERANKED)
    wait_until(other, "document.querySelector('#query-image').naturalWidth > 0")
    assert titles(other, "retrieved") == titles(page, "retrieved")
    other.close()


DATA_TRANSFER = """(data) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "leopard.png", { type: "image/png" }));
    return transfer;
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(page, leopard, way):
    data = base64.b64encode(leopard.read_bytes()).decode()
    transfer = page.evaluate_handle(DATA_TRANSFER, data)
    page.evaluate(
        """([way, transfer]) => document.body.dispatchEvent(way === "drop"
            ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }))""",
        [way, transfer],
    )
    assert page.get_attribute("#query-image", "alt") == "The query's image: leopard.png"
    page.click("#search")
    page.wait_for_selector(RERANKED)
    page.click("#remove")
    assert page.is_hidden("#query-image")


def test_a_filter_is_typed_or_chosen_from_the_metadata_of_a_result(page):
    page.fill("#filter", "price < 14")
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    assert page.locator("#reranked .card").count() == 4
    page.locator("#retrieved .title", has_text="mug").first.click()
    shoot(page, "1280-details")
    page.click("#details-metadata button:has-text('mug') >> nth=0")
    wait_until(page, "document.querySelectorAll('#reranked .card:not(.waiting)').length < 4")
    condition = page.input_value("#filter")
    assert condition.startswith("(price < 14) and ")
    assert all("mug" in title for title in titles(page, "retrieved"))


def test_the_composite_and_prompt_can_be_opened_and_closed(page):
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.click("#show-calls")
    composite = page.locator("#calls img")
    wait_until(page, "document.querySelector('#calls img').naturalWidth > 400")
    assert "composite" in composite.get_attribute("alt")
    assert "red" in page.locator("#calls pre").first.inner_text()
    shoot(page, "1280-composite")
    page.keyboard.press("Escape")
    assert page.is_hidden("#calls-dialog")
