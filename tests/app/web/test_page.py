"""The search page in a real Chromium: the whole journey, by mouse, by keyboard, on a phone."""

from __future__ import annotations

import base64
import re
import shutil
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from live_server import serving

from mmrag.app.web.app import create_app
from mmrag.app.web.site import Limits
from mmrag.catalogue import draw_swatch
from mmrag.testing import MockVision, looking

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ARTIFACTS = Path(__file__).parents[3] / "test-artifacts" / "web"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
RERANKED = "#reranked .card:not(.waiting)"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium on this machine: apt install chromium"
    ),
]


def blueness(picture) -> float:
    """How blue a cell is: a vision LLM that likes blue things."""
    red, green, blue = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))
    return (blue - (red + green) / 2) / 100


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            headless=True,
            viewport=DESKTOP,
            permissions=["clipboard-read", "clipboard-write"],
        )
        yield context
        context.close()


@pytest.fixture(scope="module")
def site(shop, make_gate):
    gate = make_gate(looking(blueness))
    app = create_app(shop.searcher(MockVision(gate)), Limits(upload_bytes=1_000_000, places=1))
    with serving(app) as address:
        yield gate, address
        gate.opened.set()


@pytest.fixture
def door(site):
    """The vision LLM answers while it is opened, as it is unless a test shuts it."""
    site[0].opened.set()
    return site[0].opened


@pytest.fixture
def page(browser, site, door):
    page, address = browser.new_page(), site[1]
    page.set_default_timeout(20_000)
    faults, elsewhere = [], []

    def console(message):
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    page.on("console", console)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: r.url.startswith((address, "blob:")) or elsewhere.append(r.url))
    page.goto(address)
    yield page
    door.set()
    page.close()
    assert (faults, elsewhere) == ([], [])


@pytest.fixture
def leopard(tmp_path):
    file = tmp_path / "leopard.png"
    draw_swatch("leopard", "tan", 1).save(file)
    return file


def shoot(page, name: str) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    wait_until(page, "[...document.images].every(i => !i.checkVisibility() || i.complete)")
    page.wait_for_timeout(300)  # cards arrive softly
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True, animations="disabled")


def wait_until(page, expression: str) -> None:
    """Wait by looking from outside: the page's own policy forbids to wait by `eval` inside."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never became true: {expression}"
        page.wait_for_timeout(30)


def ask(page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def titles(page, row: str) -> list[str]:
    return page.locator(f"#{row} .title").all_inner_texts()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])
def test_retrieved_results_are_there_first_and_arrows_show_what_reranking_moved(
    page, door, leopard, screen
):
    page.set_viewport_size(screen)
    shoot(page, f"{screen['width']}-empty")
    door.clear()
    page.set_input_files("#file", leopard)
    ask(page, "red")
    page.wait_for_selector("#retrieved .card")
    assert page.locator("#reranked .waiting").count() == 9
    assert "The vision LLM is looking …" in page.inner_text("#status")
    shoot(page, f"{screen['width']}-retrieved")

    door.set()
    page.wait_for_selector(RERANKED)
    before, after = titles(page, "retrieved"), titles(page, "reranked")
    assert sorted(before) == sorted(after)
    assert before[0].startswith("red")
    assert after[0].startswith("blue")
    arrows = page.locator("#moves g").evaluate_all("all => all.map(g => g.className.baseVal)")
    ways = ["up" if before.index(t) > k else "down" if before.index(t) < k else "same"
            for k, t in enumerate(after)]  # fmt: skip
    assert arrows == ways
    words = [t.strip() for t in page.locator("#reranked .move").all_inner_texts()]
    assert words[0] == f"▲{before.index(after[0])}"
    assert page.inner_text("#reason") == "I see."
    assert {"encode", "search", "rank"} <= set(page.locator("#times dt").all_inner_texts())
    assert all(re.fullmatch(r"-?\d\.\d{3}", s) for s in page.locator(".score").all_inner_texts())
    shoot(page, f"{screen['width']}-reranked")


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])
def test_each_arrow_goes_from_a_card_to_the_same_pictures_card(page, screen):
    page.set_viewport_size(screen)
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.wait_for_timeout(400)
    far = page.evaluate("""() => {
        const beside = innerWidth < 760, frame = document.querySelector("#moves").getBoundingClientRect();
        const middle = (list, id) => {
            const box = document.querySelector(`#${list} [data-id="${id}"] .tile`).getBoundingClientRect();
            return beside ? (box.top + box.bottom) / 2 - frame.top : (box.left + box.right) / 2 - frame.left;
        };
        return Math.max(...[...document.querySelectorAll("#moves g")].flatMap((g) => {
            const line = g.querySelector(".line"), axis = beside ? "y" : "x";
            const ends = [line.getPointAtLength(0)[axis], line.getPointAtLength(1e6)[axis]];
            return [Math.abs(ends[0] - middle("retrieved", g.dataset.id)),
                    Math.abs(ends[1] - middle("reranked", g.dataset.id))];
        }));
    }""")  # fmt: skip
    assert far < 3


def test_a_result_becomes_the_next_query_picture_and_the_address_is_shared(page, browser):
    ask(page, "red mug")
    page.wait_for_selector(RERANKED)
    chosen = page.locator("#retrieved .card").first
    id, title = chosen.get_attribute("data-id"), chosen.locator(".title").inner_text()
    chosen.locator(".tile").click()
    assert page.get_attribute("#query-picture", "alt") == f"The query's picture: {title}"
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("green")  # it was selected: typing replaces it
    page.keyboard.press("Enter")
    wait_until(page, "location.search.includes('picture=')")
    page.wait_for_selector(RERANKED)
    query = {key: value[0] for key, value in parse_qs(urlsplit(page.url).query).items()}
    assert query == {"q": "green", "picture": id}

    other = browser.new_page()
    other.goto(page.url)
    other.wait_for_selector(RERANKED)
    assert titles(other, "reranked") == titles(page, "reranked")
    assert other.is_visible("#query-picture")
    other.close()
    page.go_back()
    wait_until(page, "document.querySelector('#text').value === 'red mug'")
    page.wait_for_selector("#query-picture", state="hidden")


def test_a_search_by_an_uploaded_picture_has_an_address_too(page, browser, leopard):
    page.set_input_files("#file", leopard)
    ask(page, "mug")
    page.wait_for_selector(RERANKED)
    page.click("#share")
    wait_until(page, "document.querySelector('#status').textContent.includes('copied')")
    other = browser.new_page()
    other.goto(page.evaluate("navigator.clipboard.readText()"))
    other.wait_for_selector(RERANKED)
    wait_until(other, "document.querySelector('#query-picture').naturalWidth > 0")
    assert titles(other, "retrieved") == titles(page, "retrieved")
    other.close()


DATA_TRANSFER = """(data) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "leopard.png", { type: "image/png" }));
    return transfer;
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page, leopard, way):
    data = base64.b64encode(leopard.read_bytes()).decode()
    transfer = page.evaluate_handle(DATA_TRANSFER, data)
    page.evaluate(
        """([way, transfer]) => document.body.dispatchEvent(way === "drop"
            ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }))""",
        [way, transfer],
    )
    assert page.get_attribute("#query-picture", "alt") == "The query's picture: leopard.png"
    page.click("#search")
    page.wait_for_selector(RERANKED)
    page.click("#remove")
    assert page.is_hidden("#query-picture")


def test_a_filter_is_typed_or_chosen_from_what_a_result_is(page):
    page.fill("#filter", "price < 14")
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    assert page.locator("#reranked .card").count() == 4
    page.locator("#retrieved .title", has_text="mug").first.click()
    shoot(page, "1280-details")
    page.click("#details-facts button:has-text('mug') >> nth=0")
    wait_until(page, "document.querySelectorAll('#reranked .card:not(.waiting)').length < 4")
    condition = page.input_value("#filter")
    assert condition.startswith("(price < 14) and ")
    assert all("mug" in title for title in titles(page, "retrieved"))


def test_what_the_model_saw_can_be_opened_and_closed(page):
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.click("#see")
    composite = page.locator("#looks img")
    wait_until(page, "document.querySelector('#looks img').naturalWidth > 400")
    assert "composite" in composite.get_attribute("alt")
    assert "red" in page.locator("#looks pre").first.inner_text()
    shoot(page, "1280-composite")
    page.keyboard.press("Escape")
    assert page.is_hidden("#looks-dialog")


def test_the_whole_journey_by_keyboard_alone(page, leopard):
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
    assert page.locator("#moves g.lit").count() == 1
    press("Enter")
    page.keyboard.type("blue")
    press("Enter")
    wait_until(page, "location.search.includes('picture=')")
    page.wait_for_selector(RERANKED)
    tab_to("#see")
    press("Enter")
    page.wait_for_selector("#looks-dialog[open]")
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
    assert page.is_visible("#query-picture")


def test_every_picture_has_a_text_and_every_button_a_name(page, leopard):
    page.set_input_files("#file", leopard)
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    page.click("#see")
    nameless = page.evaluate("""() => {
        const images = [...document.images].filter((i) => i.checkVisibility() && !i.alt);
        const name = (b) => b.getAttribute("aria-label") || b.innerText.trim() || b.querySelector("img")?.alt;
        const buttons = [...document.querySelectorAll("button")].filter((b) => b.checkVisibility() && !name(b));
        const inputs = [...document.querySelectorAll("input")].filter((i) => !i.labels.length && !i.ariaLabel);
        return [...images, ...buttons, ...inputs].map((e) => e.outerHTML);
    }""")  # fmt: skip
    assert nameless == []
    alts = page.locator("#reranked img").evaluate_all("all => all.map(i => i.alt)")
    assert re.fullmatch(r"1: blue [a-z -]+, was \d", alts[0])


def test_a_phone_scrolls_down_and_never_sideways(page):
    page.set_viewport_size({"width": 360, "height": 740})
    ask(page, "red")
    page.wait_for_selector(RERANKED)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    left, right = (page.locator(f"#{row}").bounding_box() for row in ("retrieved", "reranked"))
    assert left["x"] + left["width"] < right["x"]
    assert abs(left["y"] - right["y"]) < 2


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["1280", "390"])
def test_what_is_wrong_is_told_where_it_is_seen(page, screen):
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


def test_a_file_that_is_too_large_or_no_picture_is_not_even_sent(page, tmp_path):
    (tmp_path / "big.png").write_bytes(b"x" * 1_100_000)
    (tmp_path / "notes.txt").write_text("hello")
    for name, told in (("big.png", "larger than 1 MB"), ("notes.txt", "is no picture")):
        page.set_input_files("#file", tmp_path / name)
        assert told in page.inner_text("#error")
        assert page.is_hidden("#query-picture")


def test_a_busy_vision_llm_leaves_the_retrieved_row_and_says_so(page, browser, door, site):
    door.clear()
    site[0].waits.clear()
    ask(page, "red")
    assert site[0].waits.wait(20)
    other = browser.new_page()
    other.goto(f"{site[1]}/?q=blue")
    other.wait_for_selector("#error:not([hidden])")
    assert "The order is that of retrieval: 1 others wait" in other.inner_text("#error")
    assert other.locator("#retrieved .card").count() == 9
    assert other.is_hidden("#reranked-row")
    other.close()
    door.set()
    page.wait_for_selector(RERANKED)


def test_nothing_found_is_told(page):
    page.fill("#filter", 'product == "boat"')
    ask(page, "red")
    wait_until(page, "document.querySelector('#status').textContent.startsWith('Nothing')")
    assert page.is_hidden("#reranked-row")


def test_a_dark_screen_is_readable(page):
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
