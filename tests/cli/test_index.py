"""`mmrag index`: folders, patterns and tables, indexed again and again; its output and exit codes.

The rules of indexing are in tests/indexing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from image_server import serving
from malformed_images import encoded, sample_image
from PIL import Image
from sample_catalog import ENCODER, write_sample_catalog

from mmrag.embedding import VisualizedBGE
from mmrag.indexing import open_sources, pipeline

LONG_AGO = 1_600_000_000


@pytest.fixture
def index(mmrag):
    """Runs `mmrag index … --json` into `new.db`."""

    def run(*words: object) -> dict:
        ran = mmrag("index", *words, "--into", "new.db", "--model", ENCODER, "--json")
        assert ran.code == 0, ran.err
        return ran.json

    return run


@pytest.fixture
def prices(mmrag):
    """Returns the price of each image in the index."""

    def read() -> dict[str, float | None]:
        words = ("--db", "new.db", "--model", ENCODER, "--json", "--no-rerank")
        hits = mmrag("search", "dot", *words).json["results"]
        return {hit["metadata"]["file_name"]: hit["metadata"].get("price") for hit in hits}

    return read


@pytest.fixture
def own_shop(tmp_path) -> Path:
    """A shop that a test may change."""
    (tmp_path / "shop").mkdir()
    return write_sample_catalog(tmp_path / "shop")


def write_table(file: str, prices: dict[str, object], folder: str = "shop") -> None:
    rows = [f"{folder}/{name}.png,{price}" for name, price in prices.items()]
    Path(file).write_text("\n".join(["image,price", *rows]))


def counts(report: dict, run: int = 0) -> dict[str, int]:
    names = ("new", "changed", "moved", "duplicate", "deleted", "unchanged", "embedded")
    return {name: report["runs"][run][name] for name in names if report["runs"][run][name]}


def test_a_folder_is_indexed_once_and_sync_removes_deleted_files(index, own_shop, monkeypatch):
    monkeypatch.chdir(own_shop)  # the index itself is no image
    first, second = index("."), index(".")
    assert first["stored"] == 6
    assert counts(first) == {"new": 6, "embedded": 6}
    assert counts(second) == {"unchanged": 6}
    for report in (first, second):
        assert {Path(skip["path"]).name for skip in report["runs"][0]["skipped"]} == {"notes.txt", "shop.jsonl"}
    (own_shop / "red.png").rename(own_shop / "rouge.png")
    Image.new("RGB", (8, 8), "pink").save(own_shop / "green.png")
    (own_shop / "black.png").unlink()
    kept = index(".")
    assert counts(kept) == {"changed": 1, "moved": 1, "unchanged": 3, "embedded": 1}
    assert kept["stored"] == 6
    synced = index(".", "--sync")
    assert counts(synced) == {"deleted": 1, "unchanged": 5}
    assert synced["stored"] == 5


def test_verify_finds_an_edit_that_keeps_size_and_mtime(index, own_shop):
    for color in ("red", "#fe0000"):
        Image.new("RGB", (8, 8), color).save(own_shop / "red.png")
        os.utime(own_shop / "red.png", (LONG_AGO, LONG_AGO))
        report = index(own_shop / "red.png")
    assert counts(report) == {"unchanged": 1}
    assert counts(index(own_shop / "red.png", "--verify")) == {"changed": 1, "embedded": 1}


def test_a_table_updates_prices_without_embedding_and_sync_removes_rows(index, own_shop, prices):
    write_table("t.csv", {"red": 5, "blue": 6})
    assert counts(index("t.csv")) == {"new": 2, "embedded": 2}
    assert counts(index("t.csv")) == {"unchanged": 2}
    write_table("t.csv", {"red": 7, "blue": 6, "black": 1})
    assert counts(index("t.csv")) == {"new": 1, "changed": 1, "unchanged": 1, "embedded": 1}
    Image.new("RGB", (8, 8), "pink").save(own_shop / "red.png")
    write_table("t.csv", {"red": 7, "blue": 6})
    assert counts(index("t.csv")) == {"changed": 1, "unchanged": 1, "embedded": 1}
    assert prices() == {"red.png": 7, "blue.png": 6, "black.png": 1}
    assert counts(index("t.csv", "--sync")) == {"deleted": 1, "unchanged": 2}
    assert prices() == {"red.png": 7, "blue.png": 6}


def test_the_summary_is_one_line_with_the_rate(mmrag, own_shop):
    ran = mmrag("index", f"{own_shop}/*e*.png", "--into", "new.db", "--model", ENCODER)
    assert "5 files in" in ran.out
    assert "5 new" in ran.out
    assert "images/s" in ran.out
    assert "new.db now holds 5 images" in ran.out


def test_control_characters_of_file_names_do_not_reach_the_terminal(mmrag, own_shop):
    (own_shop / "a\x1b[2J\nstored: all.png").touch()
    ran = mmrag("index", own_shop, "--into", "new.db", "--model", ENCODER)
    assert r"a\x1b[2J\nstored: all.png': is empty" in ran.err
    assert "\x1b" not in ran.err


def test_control_characters_of_titles_and_columns_do_not_reach_the_terminal(mmrag, own_shop):
    Path("t.csv").write_text("image,title,a\x1b[2J,b\x1b[2J\nshop/red.png,Mug\x1b[2J,1,\n")
    err = mmrag("index", "t.csv", "--into", "new.db", "--model", ENCODER).err
    found = mmrag("search", "red", "--db", "new.db", "--model", ENCODER, "--no-rerank").out
    assert "Mug�[2J" in found
    assert "(a�[2J)" in err
    assert "\x1b" not in err + found


def test_a_pattern_finds_new_files_and_sync_removes_deleted_ones(mmrag, index, own_shop):
    assert counts(index("shop/b*.png")) == {"new": 2, "embedded": 2}
    (own_shop / "blue.png").unlink()
    (own_shop / "beige.png").write_bytes((own_shop / "red.png").read_bytes())
    assert counts(index("shop/b*.png")) == {"new": 1, "unchanged": 1, "embedded": 1}
    report = index("shop/../shop/b*.png", "--sync")
    assert (counts(report), report["stored"]) == ({"deleted": 1, "unchanged": 2}, 2)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("s[[]1]/**/*.png", ["a", "b", "c"]),
        ("s[[]1]/**", ["a", "b", "c"]),
        ("s[[]1]/deep/**/*.png", ["b", "c"]),
        ("**/deeper/**/*.png", ["c"]),
        ("s?1?/*.png", ["a"]),
    ],
)
def test_a_pattern_finds_files_at_any_depth_without_following_link_cycles(tmp_path, monkeypatch, pattern, found):
    monkeypatch.chdir(tmp_path)
    shop = Path("s[1]")
    for name in ("a", "deep/b", "deep/deeper/c", ".hidden/d"):
        (shop / name).parent.mkdir(exist_ok=True, parents=True)
        (shop / f"{name}.png").touch()
    for link in ("round", "and round", "deep/and round"):
        (shop / link).symlink_to(tmp_path / "s[1]")
    (matched,) = open_sources([pattern])
    assert [Path(entry.path).stem for entry in matched] == found


def test_an_empty_source_is_refused(mmrag):
    ran = mmrag("index", "", "--into", "new.db", "--model", ENCODER)
    assert ran.code == 1
    assert "a source is empty" in ran.err


def test_a_folder_whose_name_is_no_utf8_is_indexed(mmrag, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (run,) = mmrag("index", str(folder), "--into", "new.db", "--model", ENCODER, "--json").json["runs"]
    assert run["source"].endswith("/�")
    assert "no valid UTF-8: rename it" in run["skipped"][0]["reason"]


def test_sync_keeps_files_named_one_by_one_and_says_so(mmrag, index, own_shop):
    index(own_shop / "red.png", own_shop / "blue.png")
    words = ("index", own_shop / "red.png", "--into", "new.db", "--model", ENCODER, "--sync")
    ran = mmrag(*words)
    assert "put patterns into quotes" in ran.err
    assert "now holds 2 images" in ran.out


def test_a_row_of_the_wrong_type_is_skipped_until_it_is_corrected(index, own_shop, prices):
    write_table("t.csv", {"red": 5, "blue": 6})
    index("t.csv")
    write_table("u.csv", {"green": "on demand", "black": 2})
    report = index("u.csv")
    (skipped,) = report["runs"][0]["skipped"]
    assert (Path(skipped["path"]).name, report["stored"]) == ("green.png", 3)
    assert "'on demand' is no float" in skipped["reason"]
    write_table("u.csv", {"green": 4, "black": 2})
    assert counts(index("u.csv"))["new"] == 1
    assert prices() == {"red.png": 5, "blue.png": 6, "black.png": 2, "green.png": 4}


def test_a_table_may_get_new_columns(index, own_shop, mmrag):
    write_table("t.csv", {"red": 5, "blue": 6})
    index("t.csv")
    Path("t.csv").write_text("image,price,brand\nshop/red.png,5.5,Acme\nshop/blue.png,6,\n")
    assert counts(index("t.csv")) == {"changed": 1, "unchanged": 1}
    words = ("--filter", "brand == 'Acme' and price > 5.2", "--db", "new.db", "--model", ENCODER)
    (hit,) = mmrag("search", "dot", *words, "--json", "--no-rerank").json["results"]
    assert (hit["metadata"]["price"], hit["metadata"]["brand"]) == (5.5, "Acme")


def test_metadata_that_is_too_long_is_skipped_with_the_field(index, own_shop):
    rows = [
        {"image": "shop/red.png", "story": "x" * 70_000, "n": 1},
        {"image": "shop/blue.png", "story": "short", "n": 2},
        {"image": "shop/black.png", "story": "\ud800", "n": 3},
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = index("t.jsonl")
    reasons = {Path(s["path"]).name: s["reason"] for s in report["runs"][0]["skipped"]}
    assert counts(report) == {"new": 1, "embedded": 1}
    assert "shorten 'story'" in reasons["red.png"]
    assert "no valid Unicode" in reasons["black.png"]


def test_missing_images_of_a_table_are_skipped_with_the_reason(mmrag, own_shop):
    Path("t.csv").write_text("image\nshop/red.png\ngone.png\nhttps://shop.example/b.png?key=k1\n")
    ran = mmrag("index", "t.csv", "--into", "new.db", "--model", ENCODER)
    assert ran.code == 0
    assert "1 new, 2 skipped" in ran.out
    assert "gone.png: does not exist: check the path" in ran.err
    assert "shop.example/b.png: is on the host" in ran.err
    assert "k1" not in ran.out + ran.err


def test_images_by_url_are_fetched_again_and_embedded_if_changed(index, prices):
    with serving() as server:
        where = f"http://127.0.0.1:{server.server_port}"
        Path("t.csv").write_text(f"url,price\n{where}/a.png,5\n{where}/gone.jpg,6\n")
        words = ("t.csv", "--host", "127.0.0.1")
        assert counts(index(*words)) == {"new": 1, "embedded": 1}
        assert counts(index(*words, "--sync")) == {"unchanged": 1}
        server.images["/a.png"] = encoded(sample_image().rotate(90), "PNG")
        assert counts(index(*words)) == {"changed": 1, "embedded": 1}
    report = index(*words, "--sync")
    assert (len(report["runs"][0]["skipped"]), report["stored"]) == (2, 1)
    assert prices() == {"a.png": 5}


@pytest.mark.parametrize("source", ["shop", "shop/shop.jsonl", "shop/*.png"])
def test_ctrl_c_keeps_stored_images_and_says_how_to_continue(mmrag, index, own_shop, source, monkeypatch):
    encode, calls = VisualizedBGE.encode, []

    def interrupted(self, items, **how):
        calls.append(len(items))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, items, **how)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "BATCH", 2)
        patch.setattr(VisualizedBGE, "encode", interrupted)
        stopped = mmrag("index", source, "--into", "new.db", "--model", ENCODER)
    assert stopped.code == 130
    assert "The same command goes on from there" in stopped.err
    assert mmrag("collections", "new.db", "--json").json[0]["images"] == calls[0]
    report = index(source)
    assert (report["stored"], report["runs"][0]["embedded"]) == (6, 6 - calls[0])
