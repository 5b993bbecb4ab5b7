"""The report page holds all it shows, shows every hit, and lets nobody write into it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from image_server import serving
from made_results import made_call, made_image, made_results
from PIL import Image
from web_page import CHROMIUM, FLAGS, PHONE, needs_a_browser

from mmrag.images import ImagePolicy
from mmrag.query import Query
from mmrag.ranking import Ranking, ranking_from_labels
from mmrag.reports.html import Figure, report_page, write_report


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def hits(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    image = str(tmp_path / "a.png")
    return tuple(made_image(str(n), image, 1 - n / 10, f"thing {n}") for n in range(4))


@pytest.fixture
def narrow_page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page(viewport=PHONE)
        browser.close()


def reranked(images, ranking: Ranking, **fields):
    return made_results(images, ranking=ranking, calls=(made_call(ranking),), caption="a blue square", **fields)


def test_every_hit_stands_before_and_after(hits):
    page = Page(report_page([reranked(hits, Ranking(order=[3, 1, 2, 4]))], title="t"))
    alts = [img["alt"] for img in page.all("img")]
    assert alts[:4] == ["1: thing 0", "2: thing 1", "3: thing 2", "4: thing 3"]
    assert alts[4:8] == ["1: thing 2, was 3", "2: thing 0, was 1", "3: thing 1, was 2", "4: thing 3"]
    assert [path["class"] for path in page.all("path")] == ["up", "down", "down", "same"]


def test_the_page_fetches_nothing(hits):
    query = Query("mug", Image.new("RGB", (9, 9)))
    page = Page(report_page([reranked(hits, Ranking(order=[1, 2, 3, 4]), query=query)], title="t"))
    sources = [img["src"] or "" for img in page.all("img")]
    assert len(sources) == 1 + 4 + 4 + 1
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not page.all("script")
    assert not page.all("link")


def test_reason_repairs_prompt_answer_and_timings_are_shown(hits):
    ranking = ranking_from_labels([2, 1, 4], 4, reason="It is spotted.", answer="2 1 4")
    timings = {"encode": 5.04, "rerank": 300.0}
    found = reranked(hits, ranking, timings_ms=timings, unknown_words=("sneakers",))
    text = Page(report_page([found], title="t")).text
    for told in ("It is spotted.", "missing: 3", "rank these", "2 1 4", "5.0 ms", "sneakers", "a blue square"):
        assert told in text


def test_figures_show_the_difference(hits):
    figures = [Figure("hit@1", 0.5, 0.75), Figure("alone", 0.25)]
    page = Page(report_page([made_results(hits)], title="t", figures=figures, note="of 100"))
    assert "+0.250" in page.text
    assert "of 100" in page.text
    assert [cell.get("class") for cell in page.all("td")].count("up") == 1


EVIL = '"><script>alert(1)</script>'


def test_nothing_written_by_others_becomes_markup(hits):
    evil = made_image("x", hits[0].path, 0.1, EVIL)
    verdict = Ranking(order=[1], reason=EVIL, answer=EVIL, repairs=[EVIL])
    found = reranked([evil], verdict, query=Query(EVIL), timings_ms={EVIL: 1.0}, unknown_words=(EVIL,))
    page = Page(report_page([found], title=EVIL, note=EVIL, figures=[Figure(EVIL, 0)]))
    assert not page.all("script")
    assert page.text.count("<script>") >= 8


def test_an_image_on_an_allowed_host_is_shown():
    with serving() as server:
        address = f"http://127.0.0.1:{server.server_port}/a.png"
        hits = (made_image("a", address, 1.0),)
        allowed = made_results(hits, policy=ImagePolicy(hosts=["127.0.0.1"]))
        pages = [report_page([found], title="t") for found in (allowed, made_results(hits))]
    shown, refused = (Page(page).all("img")[0]["src"] for page in pages)
    assert shown != refused
    assert [path for path, _ in server.seen] == ["/a.png"]


def test_nothing_found_is_said(hits):
    assert "Nothing was found" in report_page([made_results(())], title="t")
    assert "Nothing was found" not in report_page([made_results(hits)], title="t")


def test_a_vision_llm_that_failed_is_not_called_repaired(hits):
    ranking = Ranking(order=[1, 2, 3, 4], repairs=["order kept: it is tired"])
    failed = made_results(hits, ranking=ranking, stage="retrieved", failures=("it is tired",))
    text = Page(report_page([failed], title="t")).text
    assert "The vision LLM failed: it is tired" in text
    assert "Repaired" not in text
    assert "Reranked by the vision LLM" not in text


@pytest.mark.browser
@needs_a_browser
def test_odd_words_and_a_narrow_screen_spoil_no_layout(hits, tmp_path, narrow_page):
    titles = ("Donaudampfschifffahrtsgesellschaft" * 4, "כוס כחולה", "very " * 80, "mug")
    odd = tuple(hit.model_copy(update={"title": title}) for hit, title in zip(hits, titles, strict=True))
    found = reranked(odd, Ranking(order=[3, 1, 2, 4]), query=Query("x" * 300))
    write_report(tmp_path / "page.html", [found], title="t" * 200, figures=[Figure("hit@9", 0, 1)])
    narrow_page.goto((tmp_path / "page.html").as_uri())
    assert narrow_page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    hebrew = narrow_page.locator(".title", has_text=titles[1]).first
    assert hebrew.evaluate("e => getComputedStyle(e).direction") == "rtl"


def test_no_hits_and_images_gone_still_make_a_page(tmp_path):
    gone = made_image("x", str(tmp_path / "gone.jpg"), 0.1, "gone.jpg")
    file = tmp_path / "new" / "page.html"
    write_report(file, [made_results(()), made_results((gone,))], title="t")
    assert [img["alt"] for img in Page(file.read_text()).all("img")] == ["1: gone.jpg"]
