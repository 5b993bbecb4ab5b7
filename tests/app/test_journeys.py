"""An engineer's way: index a shop, search it by picture and filter, rerank, look at the answers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from little_shop import COLOURS, ENCODER, OTHER_ENCODER, write_shop
from PIL import Image

from mmrag.app import listing
from mmrag.app.cli import main
from mmrag.embedding import VisualizedBGE


@pytest.fixture(scope="module")
def db(shop, tmp_path_factory) -> Path:
    """An index of the shop's table."""
    place = tmp_path_factory.mktemp("db") / "shop.db"
    with pytest.raises(SystemExit) as leaving:
        main(
            ["index", str(shop / "shop.jsonl"), "--into", str(place), "--model", ENCODER, "--json"]
        )
    assert leaving.value.code == 0
    return place


@pytest.fixture
def search(mmrag, db):
    """Searches the shop without a vision LLM, unless the words say otherwise."""

    def run(*words: object):
        how = () if "--rerank" in words else ("--no-rerank",)
        return mmrag("search", *words, "--db", db, "--model", ENCODER, *how)

    return run


def test_a_folder_is_indexed_once_and_what_is_no_picture_is_told(mmrag, shop):
    words = ("index", shop, "--into", "new.db", "--model", ENCODER, "--json")
    first, second = mmrag(*words), mmrag(*words)
    run = first.json["runs"][0]
    assert (first.code, first.json["stored"]) == (0, 6)
    assert (run["new"], run["embedded"]) == (6, 6)
    skipped = {Path(skip["path"]).name: skip["reason"] for skip in run["skipped"]}
    assert set(skipped) == {"notes.txt", "shop.jsonl"}
    again = second.json["runs"][0]
    assert (again["new"], again["unchanged"], again["embedded"]) == (0, 6, 0)


def test_a_second_run_tells_what_changed_moved_and_went_and_sync_removes_it(mmrag, tmp_path):
    (tmp_path / "photos").mkdir()
    folder = write_shop(tmp_path / "photos")
    words = ("index", folder, "--into", "new.db", "--model", ENCODER)
    mmrag(*words)
    (folder / "red.png").rename(folder / "rouge.png")
    Image.new("RGB", (8, 8), "pink").save(folder / "green.png")
    (folder / "black.png").unlink()
    kept = mmrag(*words, "--json").json
    run = kept["runs"][0]
    assert {key: run[key] for key in ("new", "changed", "moved", "deleted", "unchanged")} == {
        "new": 0, "changed": 1, "moved": 1, "deleted": 0, "unchanged": 3,
    }  # fmt: skip
    assert (run["embedded"], kept["stored"]) == (1, 6)
    synced = mmrag(*words, "--sync")
    assert "1 deleted, 5 unchanged, 2 skipped" in synced.out
    assert "new.db now holds 5 pictures" in synced.out


def test_patterns_name_pictures_and_the_summary_tells_the_rate(mmrag, shop):
    ran = mmrag("index", f"{shop}/*e*.png", "--into", "new.db", "--model", ENCODER)
    assert ran.code == 0
    assert "5 files in" in ran.out
    assert "5 new" in ran.out
    assert "pictures/s" in ran.out
    assert "new.db now holds 5 pictures" in ran.out


def test_a_table_indexed_again_embeds_nothing_and_tells_new_prices(mmrag, shop, tmp_path):
    table = tmp_path / "prices.csv"
    for price, new in ((5, 1), (7, 0)):
        table.write_text(f"image,price\n{shop}/red.png,{price}\n{shop}/red.png,9\n")
        ran = mmrag("index", table, "--into", "new.db", "--model", ENCODER, "--json")
        run = ran.json["runs"][0]
        assert (run["new"], run["duplicate"], run["embedded"]) == (new, 1, new)
    found = mmrag("search", "dot", "--db", "new.db", "--model", ENCODER, "--json", "--no-rerank")
    assert [hit["metadata"]["price"] for hit in found.json["hits"]] == [7]


def test_a_picture_that_a_table_names_and_nobody_has_is_skipped_with_the_reason(mmrag, tmp_path):
    Image.new("RGB", (8, 8)).save("a.png")
    (tmp_path / "t.csv").write_text("image\na.png\ngone.png\nhttps://shop.example/b.png\n")
    ran = mmrag("index", "t.csv", "--into", "new.db", "--model", ENCODER)
    assert ran.code == 0
    assert "1 new, 2 skipped" in ran.out
    assert "gone.png" in ran.err
    assert "shop.example" in ran.err


def test_a_picture_that_goes_away_while_it_is_read_is_skipped(mmrag, monkeypatch):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "red" if name == "a.png" else "blue").save(name)
    load = listing.load_image

    def load_and_lose(path, policy):
        image = load(path, policy)
        if path.name == "a.png":
            path.unlink()
        return image

    monkeypatch.setattr(listing, "load_image", load_and_lose)
    ran = mmrag("index", "*.png", "--into", "new.db", "--model", ENCODER, "--sync")
    assert "1 new, 1 skipped" in ran.out
    assert "a.png went away while it was read" in ran.err
    assert "--sync looks after folders" in ran.err


def test_columns_become_typed_fields(mmrag, db):
    shelf = mmrag("collections", db, "--json").json[0]
    assert shelf["pictures"] == 6
    assert shelf["fields"] == {"title": "str", "price": "float"}
    assert (shelf["model"], shelf["dim"]) == ("base-tiny", 64)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_picture_finds_itself_first(search, shop, colour):
    hits = search("--image", shop / f"{colour}.png", "--json").json["hits"]
    assert len(hits) == 6
    assert hits[0]["metadata"]["title"] == f"{colour} dot"
    assert hits[0]["score"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("filter_by", "colours"),
    [
        ("price < 20", {"red", "green"}),
        ("price >= 40 or title == 'red dot'", {"red", "purple", "black"}),
        ("title in ['blue dot', 'no dot']", {"blue"}),
        ("price > 1000", set()),
        ("title == '\\\\ or 1 == 1'", set()),
    ],
)
def test_a_filter_keeps_what_it_says(search, filter_by, colours):
    hits = search("dot", "--filter", filter_by, "--json").json["hits"]
    assert {hit["metadata"]["title"].removesuffix(" dot") for hit in hits} == colours


def test_a_filter_that_is_none_is_one_line(search):
    ran = search("dot", "--filter", "price = 4")
    assert ran.code == 1
    assert ran.err.startswith("error: filter, column 7:")


def test_a_picture_comes_by_stdin(search, shop, monkeypatch):
    picture = io.BytesIO((shop / "blue.png").read_bytes())
    stdin = SimpleNamespace(buffer=picture, isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", stdin)
    assert (
        search("--image", "-", "--top", 1, "--json").json["hits"][0]["picture"].endswith("blue.png")
    )


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


def test_sheet_and_page_are_written(search, shop):
    ran = search("dot", "--image", shop / "red.png", "--sheet", "out/s.png", "--html", "out/p.html")
    assert ran.code == 0
    with Image.open("out/s.png") as sheet:
        assert sheet.width > 500
    assert Path("out/p.html").read_text().count("data:image/jpeg") == 7


def test_a_sheet_that_is_no_picture_is_one_line(search):
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


def test_a_vision_llm_behind_an_address_turns_the_order_round(search, llm_server, monkeypatch):
    llm_server.answer = lambda asked: (
        last_is_best(asked) if "response_format" in asked else "a red dot"
    )
    monkeypatch.setenv("MMRAG_LLM_URL", llm_server.url)
    before = search("dot", "--json").json
    after = search("dot", "--rerank", "--json", "--html", "p.html").json
    assert [hit["id"] for hit in after["hits"]] == [hit["id"] for hit in before["hits"]][::-1]
    assert [hit["retrieved"] for hit in after["hits"]] == [6, 5, 4, 3, 2, 1]
    assert (after["reason"], after["repairs"]) == ("the last", [])
    assert before["reason"] is None
    assert "the last" in Path("p.html").read_text()


def test_an_llm_that_is_not_there_loses_nothing(search, monkeypatch):
    monkeypatch.setenv("MMRAG_LLM_URL", "http://127.0.0.1:9/v1")
    ran = search("dot", "--rerank")
    assert ran.code == 0
    assert all(f"{colour} dot" in ran.out for colour in COLOURS)
    assert "order kept" in ran.out


def test_control_c_keeps_what_was_stored_and_says_how_to_go_on(mmrag, shop, monkeypatch):
    monkeypatch.setattr(listing, "BATCH", 2)
    encode, calls = VisualizedBGE.encode, []

    def interrupted(self, items, **how):
        calls.append(len(items))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, items, **how)

    words = ("index", shop / "shop.jsonl", "--into", "new.db", "--model", ENCODER)
    with monkeypatch.context() as patch:
        patch.setattr(VisualizedBGE, "encode", interrupted)
        stopped = mmrag(*words)
    assert stopped.code == 130
    assert "stopped after 2 pictures" in stopped.err
    assert mmrag("collections", "new.db", "--json").json[0]["pictures"] == 2
    rest = mmrag(*words, "--json").json
    assert (rest["stored"], rest["runs"][0]["embedded"]) == (6, 4)


def test_bench_times_every_stage(mmrag, db):
    ran = mmrag("bench", "--db", db, "--model", ENCODER, "--no-rerank", "--repeats", 2, "--json")
    timings = ran.json
    assert timings["stored"] == 6
    assert timings["pictures_per_second"] > 0
    assert set(timings["stages"]) == {"encode", "search"}


def test_the_installed_program_works_from_a_shell(shop, db):
    program = [str(Path(sys.executable).with_name("mmrag")), "search", "--no-rerank", "--json"]
    words = ["--image", str(shop / "red.png"), "--db", str(db), "--model", ENCODER]
    done = subprocess.run([*program, *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["hits"][0]["metadata"]["title"] == "red dot"
    assert "Traceback" not in done.stderr
