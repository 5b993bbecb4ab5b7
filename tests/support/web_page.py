"""The search page as its tests see it: a Chromium, screens, and what a visitor does."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

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
ARTIFACTS = Path(__file__).parents[2] / "test-artifacts" / "web"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
RERANKED = "#reranked .card:not(.waiting)"

needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt install chromium")
in_a_browser = [pytest.mark.browser, needs_a_browser]


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
