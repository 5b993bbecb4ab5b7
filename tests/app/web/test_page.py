"""The search page in a real Chromium: the whole journey, by mouse and by keyboard alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from live_server import serving

from mmrag.app.web.app import create_app
from mmrag.app.web.site import Limits
from mmrag.catalogue import draw_swatch
from mmrag.testing import MockVision, looking, slow

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

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium on this machine: apt install chromium"
    ),
]


def redness(picture) -> float:
    """How red a cell is: a vision LLM that likes red things."""
    red, green, blue = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))
    return red - (green + blue) / 2


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            headless=True,
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


@pytest.fixture(scope="module")
def address(shop):
    vision = MockVision(slow(0.7, looking(redness)))
    with serving(create_app(shop.searcher(vision), Limits(upload_bytes=1_000_000))) as url:
        yield url


@pytest.fixture
def page(browser, address):
    page = browser.new_page()
    page.faults = []
    page.on("console", lambda message: message.type == "error" and page.faults.append(message.text))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    assert page.faults == []


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "leopard.png"
    draw_swatch("leopard", "tan", 1).save(file)
    return file


def shoot(page, name: str) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def test_screens(page, picture):
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 860})
        page.goto(page.url.split("?")[0])
        page.wait_for_timeout(300)
        shoot(page, f"{width}-empty")
        page.set_input_files("#file", picture)
        page.fill("#text", "mug in red")
        page.press("#text", "Enter")
        page.wait_for_selector("#retrieved .card")
        page.wait_for_timeout(150)
        shoot(page, f"{width}-retrieved")
        page.wait_for_selector("#reranked .card:not(.waiting)")
        page.wait_for_timeout(400)
        shoot(page, f"{width}-reranked")
        page.click("#see")
        page.wait_for_timeout(400)
        shoot(page, f"{width}-composite")
        page.keyboard.press("Escape")
        page.click("#reranked .title >> nth=0")
        page.wait_for_timeout(400)
        shoot(page, f"{width}-details")
        page.keyboard.press("Escape")
        page.fill("#filter", "price <")
        page.press("#filter", "Enter")
        page.wait_for_selector("#error:not([hidden])")
        shoot(page, f"{width}-error")
    page.faults.clear()
