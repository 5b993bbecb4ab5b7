"""Images over HTTP: only indexed ones, cached, and nothing of a visitor's outside the folder."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy
from mmrag.serving.images import Indexed, Uploads


@pytest.fixture
def first(client) -> str:
    """The address of some indexed image."""
    answer = client.post("/search", json={"text": "red", "rerank": False, "top": 1})
    return answer.json()["results"][0]["path"]


def test_an_indexed_image_comes_as_a_square_jpeg_in_two_sizes(client, first):
    for size, side in (("small", 384), ("large", 1024)):
        response = client.get(first, params={"size": size})
        assert response.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(response.content)).size == (side, side)


def test_a_browser_that_has_a_image_is_told_so(client, first):
    response = client.get(first)
    assert response.headers["cache-control"] == "private, max-age=3600"
    etag = response.headers["etag"]
    again = client.get(first, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(first, headers={"If-None-Match": '"another"'}).status_code == 200


def test_a_thumbnail_is_drawn_once_and_only_so_many_are_kept(shop):
    indexed = Indexed(shop.index.vector_store, ImagePolicy(), kept=2)
    ids = [id for id, _ in indexed.some(3)]
    for id in (*ids, ids[-1]):
        indexed.thumbnail(id, 32)
    facts = indexed.thumbnail.cache_info()
    assert (facts.misses, facts.hits, facts.currsize) == (3, 1, 2)


@pytest.mark.parametrize(
    "address",
    [
        "/images/../../etc/passwd",
        "/images/..%2F..%2Fetc%2Fpasswd",
        "/images/%2Fetc%2Fpasswd",
        "/images/....//etc/passwd",
        "/uploads/..%2F..%2Fetc%2Fpasswd",
        "/looks/..%2Fpage.py",
        "/page/../routes.py",
        "/page/..%2Froutes.py",
        "/page/%2e%2e/%2e%2e/cli.py",
        "/page//etc/passwd",
    ],
)
def test_no_address_leads_to_a_file_that_is_not_meant(client, address):
    response = client.get(address)
    assert response.status_code in (404, 422)
    assert "root:" not in response.text
    assert "import" not in response.text


@pytest.mark.parametrize("quote", ["%22", "%27", "%5C"])
def test_an_id_cannot_become_part_of_an_expression(client, quote):
    response = client.get(f"/images/x{quote} or id != {quote}")
    assert response.status_code == 422


def test_the_path_of_an_indexed_image_is_no_id_of_it(client, shop):
    file = next(shop.folder.iterdir())
    for id in (file.name, str(file).replace("/", "%2F")):
        assert client.get(f"/images/{id}").status_code in (404, 422)


def test_a_image_whose_file_is_gone_is_not_found(shop):
    indexed = Indexed(shop.index.vector_store, ImagePolicy(roots=()))
    with pytest.raises(ImageError):
        indexed.thumbnail(indexed.some(1)[0][0], 32)


def image(color: str, size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    uploads = Uploads(ImagePolicy(), kept=2)
    yield uploads
    uploads.close()


def test_uploads_lie_in_the_temporary_folder_and_are_gone_afterwards(uploads, tmp_path):
    file = uploads.file(uploads.keep(image("red")))
    assert file is not None
    assert file.is_relative_to(tmp_path)
    uploads.close()
    assert list(tmp_path.iterdir()) == []


def test_only_so_many_uploads_are_kept_and_the_one_asked_for_last_stays(uploads, tmp_path):
    red, blue = uploads.keep(image("red")), uploads.keep(image("blue"))
    assert uploads.keep(image("red")) == red
    green = uploads.keep(image("green"))
    assert [uploads.file(id) is not None for id in (red, blue, green)] == [True, False, True]
    assert len(list(tmp_path.rglob("*.png"))) == 2


def test_a_large_upload_is_kept_small_and_without_its_metadata(uploads):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (3000, 1000), "red").save(buffer, "JPEG", exif=exif)
    file = uploads.file(uploads.keep(buffer.getvalue()))
    kept = Image.open(file)
    assert kept.size == (1024, 341)
    assert b"taken at home" not in file.read_bytes()


@pytest.mark.parametrize("source", ["/etc/hostname", "http://127.0.0.1/a.png", "file:///etc/hosts"])
def test_what_a_visitor_sends_is_never_the_name_of_a_file_or_host(uploads, source):
    with pytest.raises(ImageError):
        uploads.keep(source)


def test_a_transparent_upload_stays_transparent(uploads):
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(buffer, "PNG")
    file: Path = uploads.file(uploads.keep(buffer.getvalue()))
    assert Image.open(file).getpixel((0, 0)) == (255, 0, 0, 0)
