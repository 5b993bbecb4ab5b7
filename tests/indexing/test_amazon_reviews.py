"""Amazon Reviews 2023: the main image of each item becomes an entry with typed metadata."""

from __future__ import annotations

import gzip
import json

import pytest
from PIL import Image
from sample_catalog import ENCODER

from mmrag.errors import SettingError
from mmrag.indexing import open_sources
from mmrag.indexing.amazon_reviews import AmazonItems

HOST = "https://m.media-amazon.com/images/I"


def item(number: int, **facts: object) -> dict[str, object]:
    shots = [
        {"thumb": f"{HOST}/{number}_t.jpg", "large": f"{HOST}/{number}{side}.jpg", "variant": name}
        for side, name in (("b", "PT01"), ("a%2B", "MAIN"))
    ]
    return {
        "parent_asin": f"B{number}",
        "title": f"Thing {number}",
        "main_category": "All Beauty",
        "store": None,
        "price": 9.5,
        "average_rating": 4.1,
        "rating_number": 12,
        "features": ["soft"],
        "details": {"Color": "red"},
        "images": shots,
    } | facts


def written(file, *items):
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(one) + "\n" for one in items)
    return file


@pytest.mark.parametrize("name", ["meta_All_Beauty.jsonl", "meta_All_Beauty.jsonl.gz"])
def test_the_main_image_becomes_an_entry_with_typed_metadata(tmp_path, name):
    file = written(tmp_path / name, item(1), item(2, price="None", rating_number=None))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1a+.jpg").touch()
    (items,) = open_sources([str(file)], images=tmp_path / "images")
    assert isinstance(items, AmazonItems)
    first, second = items
    assert first.path == str(tmp_path / "images" / "1a+.jpg")
    assert first.metadata == {
        "parent_asin": "B1",
        "title": "Thing 1",
        "main_category": "All Beauty",
        "price": 9.5,
        "average_rating": 4.1,
        "rating_number": 12,
    }
    assert second.path == str(tmp_path / "images" / "2a+.jpg")  # missing: the index says so
    assert second.metadata.keys() == first.metadata.keys() - {"price", "rating_number"}
    assert first.metadata.keys() <= items.columns.keys()


def test_without_an_image_folder_entries_keep_their_urls(tmp_path):
    file = written(tmp_path / "meta.jsonl", item(1))
    assert [one.path for one in open_sources([str(file)])[0]] == [f"{HOST}/1a%2B.jpg"]


def test_a_downloaded_thumbnail_is_found(tmp_path):
    (tmp_path / "1_t.jpg").touch()
    file = written(tmp_path / "meta.jsonl", item(1))
    assert [one.path for one in AmazonItems(file, tmp_path)] == [str(tmp_path / "1_t.jpg")]


@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}/..%2F..%2Fsecret.jpg",
        f"{HOST}/%2Fetc%2Fsecret.jpg?x=/y",
        "http://[broken/secret.jpg",
        f"{HOST}/" + "x" * 4_000 + "%2Fsecret.jpg",
    ],
)
def test_no_url_leads_out_of_the_image_folder(tmp_path, url):
    file = written(tmp_path / "meta.jsonl", item(1, images=[{"large": url}]))
    assert [one.path for one in AmazonItems(file, tmp_path)] == [str(tmp_path / "secret.jpg")]


def test_a_file_name_that_is_too_long_is_kept_as_missing(tmp_path):
    file = written(tmp_path / "meta.jsonl", item(1, images=[{"large": "x" * 4_000}]))
    assert [one.path for one in AmazonItems(file, tmp_path)] == [str(tmp_path / ("x" * 4_000))]


def test_a_damaged_gzip_header_is_an_error(tmp_path):
    file = tmp_path / "meta.jsonl.gz"
    file.write_bytes(gzip.compress(b"")[:10] + b"\xff" * 20)  # the head, and no known block
    with pytest.raises(SettingError, match="cannot be read"):
        list(AmazonItems(file))


def test_items_without_images_are_skipped(tmp_path):
    file = written(tmp_path / "meta.jsonl", item(1), item(2, images=[]), item(3, images=[{}]))
    assert [one.metadata["parent_asin"] for one in AmazonItems(file)] == ["B1"]


def test_another_jsonl_table_is_not_taken_for_amazon_reviews(tmp_path):
    file = written(tmp_path / "shop.jsonl", {"image": "a.jpg", "price": 3})
    assert not isinstance(open_sources([str(file)])[0], AmazonItems)


def test_a_malformed_item_is_an_error_with_line_and_field(tmp_path):
    file = written(tmp_path / "meta.jsonl", item(1), item(2, average_rating="good"))
    with pytest.raises(SettingError, match=r"meta\.jsonl, line 2, average_rating"):
        list(AmazonItems(file))
    file.write_text(json.dumps(item(1)) + "\n{broken\n")
    with pytest.raises(SettingError, match=r"meta\.jsonl, line 2: no JSON"):
        list(AmazonItems(file))


def test_a_truncated_gzip_file_is_an_error(tmp_path):
    whole = written(tmp_path / "meta.jsonl.gz", *map(item, range(50)))
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(SettingError, match="cannot be read"):
        list(AmazonItems(whole))


def test_items_are_indexed_and_missing_images_reported(mmrag, tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 20), "red").save(tmp_path / "images" / "1a+.jpg")
    file = written(tmp_path / "meta_All_Beauty.jsonl", item(1), item(2))
    ran = mmrag("index", file, "--images", "images", "--into", "x.db", "--model", ENCODER, "--json")
    assert ran.code == 0
    assert ran.json["stored"] == 1
    (skipped,) = ran.json["runs"][0]["skipped"]
    assert "2a+.jpg" in skipped["path"]
    found = mmrag(
        *("search", "thing", "--filter", "price < 10 and rating_number >= 12"),
        *("--db", "x.db", "--model", ENCODER, "--no-rerank", "--json"),
    )
    assert [hit["metadata"]["parent_asin"] for hit in found.json["results"]] == ["B1"]
