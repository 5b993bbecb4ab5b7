"""`mmrag search`, `collections` and `bench` over an indexed catalog: results, filters, files that are written."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from sample_catalog import COLORS, ENCODER, OTHER_ENCODER


def test_collections_lists_the_columns_as_typed_fields(mmrag, db):
    collection = mmrag("collections", db, "--json").json[0]
    assert collection["images"] == 6
    assert collection["fields"] == {"title": "str", "price": "float"}
    assert (collection["model"], collection["dim"]) == ("base-tiny", 64)


@pytest.mark.parametrize("color", COLORS)
def test_an_image_finds_itself_first(search, shop, color):
    hits = search("--image", shop / f"{color}.png", "--json").json["results"]
    assert len(hits) == 6
    assert hits[0]["metadata"]["title"] == f"{color} dot"
    assert hits[0]["score"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("filter_by", "colors"),
    [
        ("price < 20", {"red", "green"}),
        ("price >= 40 or title == 'red dot'", {"red", "purple", "black"}),
        ("title in ['blue dot', 'no dot']", {"blue"}),
        ("price > 1000", set()),
        ("title == '\\\\ or 1 == 1'", set()),
    ],
)
def test_a_filter_keeps_matching_images(search, filter_by, colors):
    hits = search("dot", "--filter", filter_by, "--json").json["results"]
    assert {hit["metadata"]["title"].removesuffix(" dot") for hit in hits} == colors


def test_an_invalid_filter_is_a_one_line_error(search):
    ran = search("dot", "--filter", "price = 4")
    assert ran.code == 1
    assert ran.err.startswith("error: filter, column 7:")


def test_an_image_is_read_from_stdin(search, shop, monkeypatch):
    image = io.BytesIO((shop / "blue.png").read_bytes())
    stdin = SimpleNamespace(buffer=image, isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", stdin)
    assert search("--image", "-", "--top", 1, "--json").json["results"][0]["path"].endswith("blue.png")


def test_a_url_is_refused_until_its_host_is_named(search):
    ran = search("dot", "--image", "https://shop.example/a.png")
    assert ran.code == 1
    assert "shop.example" in ran.err
    assert ran.err.count("\n") == 1


def test_the_table_of_results_fits_eighty_columns(search, shop):
    ran = search("a dot", "--image", shop / "red.png")
    assert ran.code == 0
    assert "red dot" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "encode" in ran.err


def test_contact_sheet_and_html_page_are_written(search, shop):
    ran = search("dot", "--image", shop / "red.png", "--sheet", "out/s.png", "--html", "out/p.html")
    assert ran.code == 0
    with Image.open("out/s.png") as sheet:
        assert sheet.width > 500
    assert Path("out/p.html").read_text().count("data:image/jpeg") == 7


def test_a_sheet_with_another_extension_is_a_one_line_error(search):
    ran = search("dot", "--sheet", "out.xyz")
    assert ran.code == 1
    assert "let it end in .png" in ran.err


def test_another_encoder_is_refused_by_name(mmrag, db):
    ran = mmrag("search", "dot", "--db", db, "--model", OTHER_ENCODER, "--no-rerank")
    assert ran.code == 1
    assert "base-tiny" in ran.err
    assert "m3-tiny" in ran.err


def last_is_best(asked):
    schema = asked["response_format"]["json_schema"]["schema"]
    return json.dumps({k: int(k) if k.isdecimal() else "the last" for k in schema["properties"]})


def test_a_vision_llm_at_a_url_reranks(search, llm_server, monkeypatch):
    llm_server.answer = lambda asked: last_is_best(asked) if "response_format" in asked else "a red dot"
    monkeypatch.setenv("MMRAG_LLM_URL", llm_server.url)
    before = search("dot", "--json").json
    after = search("dot", "--rerank", "--json", "--html", "p.html").json
    assert [hit["id"] for hit in after["results"]] == [hit["id"] for hit in before["results"]][::-1]
    assert [hit["retrieval_rank"] for hit in after["results"]] == [6, 5, 4, 3, 2, 1]
    assert (after["reason"], after["repairs"]) == ("the last", [])
    assert (before["reason"], before["stage"], after["stage"]) == ("", "retrieved", "reranked")
    assert "the last" in Path("p.html").read_text()


def test_an_unreachable_llm_keeps_retrieval_order(search, monkeypatch):
    monkeypatch.setenv("MMRAG_LLM_URL", "http://127.0.0.1:9/v1")
    ran = search("dot", "--rerank")
    assert ran.code == 0
    assert all(f"{color} dot" in ran.out for color in COLORS)
    assert "order kept" in ran.out


def test_bench_times_every_stage(mmrag, db):
    ran = mmrag("bench", "--db", db, "--model", ENCODER, "--no-rerank", "--repeats", 2, "--json")
    timings = ran.json
    assert timings["stored"] == 6
    assert timings["images_per_second"] > 0
    assert set(timings["stages"]) == {"encode", "search"}


def test_the_installed_program_works_from_a_shell(db):
    program = [str(Path(sys.executable).with_name("mmrag")), "collections", str(db), "--json"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["images"] == 6
    assert done.stderr == ""
