"""The page holds every figure and the worst queries as images; the command says the same."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from sample_catalog import ENCODER, RERANKER

from mmrag.evaluation import Evaluation, evaluate, read_dataset
from mmrag.evaluation.comparison import compare
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MockVision, scripted

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What stands in a page: its tags, where its images come from, its text, its table rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[str] = []
        self.frames: list[str] = []
        self.text = ""
        self.feed(html)
        self.words = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag == "iframe":
            self.frames.append(dict(attrs)["srcdoc"] or "")

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def folder(write_dataset):
    return write_dataset(
        easy_1=("", "red.png", {"red": 1}),
        hard_1=(EVIL, "blue.png", {"orange": 1, "lost": 1}),
        hard_2=("a dot", "nowhere.png", {"red": 1}),
    )


@pytest.fixture
def evaluation(searcher, folder, monkeypatch) -> Evaluation:
    mock = ListwiseReranker(MockVision(scripted("[2, 1, 3]")))
    monkeypatch.setitem(searcher.__dict__, "reranker", mock)
    return evaluate(searcher, read_dataset([folder]))


def test_every_figure_stands_on_the_page_with_its_interval(evaluation):
    page = Page(evaluation.to_html())
    for score in evaluation.scores:
        sign = "+" if score.mode == "gain" else ""
        assert f"{score.value:{sign}.3f}" in page.words
        assert f"{score.low:{sign}.2f}" in page.words
    for name in ("text only", "image only", "composed", "reranked", "gain", "mean of kinds", "p99"):
        assert name in page.words
    assert "100.0 % of the answers were malformed" in page.words
    assert "1 right answers are not in the index, and count as not found: lost" in page.words
    assert "1 queries are left out, because their images cannot be read: hard_2" in page.words


def test_the_worst_come_first_with_their_right_answers(evaluation):
    assert [result.id for result in evaluation.worst()] == ["hard_1", "easy_1"]
    page = Page(evaluation.to_html(worst=1))
    assert "✓ red" not in page.words
    assert "orange" in page.words
    assert page.tags.count("img") == 1 + 4 + 4 + 1  # the query, before, after, the right answer
    assert Page(evaluation.to_html()).words.count("✓ red") >= 2


def test_the_page_fetches_nothing_and_escapes_all_text(evaluation):
    page = Page(evaluation.to_html(compare(evaluation, evaluation)))
    assert page.images
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.images)
    assert not {"script", "link"} & set(page.tags)
    assert EVIL in page.text


def test_without_a_reranker_the_page_says_nothing_of_it(searcher, folder):
    evaluation = evaluate(searcher, read_dataset([folder]), rerank=False)
    page = Page(evaluation.to_html())
    assert "gain" not in page.words
    assert "vision LLM" not in page.words


def test_a_notebook_shows_the_page_in_a_frame(evaluation):
    frame = Page(evaluation._repr_html_())
    assert frame.tags == ["iframe"]
    inside = Page(frame.frames[0])
    assert inside.words.startswith("mmrag eval: queries")
    assert inside.images
    assert EVIL in inside.text


@pytest.fixture
def evaluated(mmrag, folder, shop):
    """Runs `mmrag eval` on an index of its own: the searcher holds the other."""
    mmrag("index", shop, "--into", "own.db", "--model", ENCODER)
    words = ("eval", "own.db", folder, "--model", ENCODER, "--top", 4)
    return lambda *more: mmrag(*words, *more)


def test_the_command_writes_json_that_can_be_compared_with(evaluated, tmp_path):
    first = evaluated("--no-rerank", "--json")
    assert first.code == 0
    (tmp_path / "run.json").write_text(first.out)
    evaluation = Evaluation.load(tmp_path / "run.json")
    assert evaluation.score("hit@1", kind="easy").value == 1
    assert first.json["scores"] == json.loads(evaluation.model_dump_json())["scores"]
    assert "lost" in first.json["missing"]
    second = evaluated("--no-rerank", "--compare", "run.json", "--report", "new/report.html")
    assert second.code == 0
    assert "Against an earlier run" in (tmp_path / "new" / "report.html").read_text()
    assert "against" in second.out
    assert "+0.000" in second.out
    assert max(map(len, second.out.splitlines())) <= 80
    assert "1 right answers are not in the index: lost" in second.err


def test_the_command_reranks_with_a_real_model(evaluated):
    ran = evaluated("--reranker", RERANKER, "--json")
    assert ran.code == 0
    assert ran.json["reranker"] == RERANKER
    assert ran.json["answers"]["malformed"] == 0  # complete by construction
    assert {"rank", "compose"} <= ran.json["latencies"].keys()
    easy = next(o for o in ran.json["results"] if o["id"] == "easy_1")
    assert sorted(easy["rankings"]["reranked"]) == sorted(easy["rankings"]["composed"])


def test_the_command_reports_an_error_in_one_line(mmrag, evaluated, tmp_path):
    assert mmrag("eval").code == 2
    (tmp_path / "bad.json").write_text("[]")
    ran = evaluated("--compare", "bad.json")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "--json" in ran.err
