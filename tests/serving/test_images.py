"""Images over HTTP: thumbnails of indexed images and uploads, by id, cached; no path leads to another file."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy
from mmrag.serving.service import IndexedImages


@pytest.fixture
def first_image(client) -> str:
    """The path of an indexed image on the server."""
    answer = client.post("/search", json={"text": "red", "rerank": False, "top": 1})
    return answer.json()["results"][0]["path"]


def test_an_indexed_image_is_a_square_jpeg_thumbnail_in_two_sizes(client, first_image):
    for size, side in (("small", 384), ("large", 1024)):
        response = client.get(first_image, params={"size": size})
        assert response.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(response.content)).size == (side, side)


def test_an_image_that_the_browser_has_is_not_modified(client, first_image):
    response = client.get(first_image)
    assert response.headers["cache-control"] == "private, max-age=3600"
    etag = response.headers["etag"]
    again = client.get(first_image, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(first_image, headers={"If-None-Match": '"another"'}).status_code == 200


def test_thumbnails_are_cached_up_to_a_limit(shop):
    indexed = IndexedImages(shop.index.vector_store, ImagePolicy(), max_thumbnails=2)
    ids = [id for id, _ in indexed.sample(3)]
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
        "/composites/..%2Fpage.py",
        "/page/../routes.py",
        "/page/..%2Froutes.py",
        "/page/%2e%2e/%2e%2e/cli.py",
        "/page//etc/passwd",
    ],
)
def test_no_path_traversal_reaches_another_file(client, address):
    response = client.get(address)
    assert response.status_code in (404, 422)
    assert "root:" not in response.text
    assert "import" not in response.text


@pytest.mark.parametrize("quote", ["%22", "%27", "%5C"])
def test_an_id_with_quotes_is_refused_and_no_filter_injection(client, quote):
    response = client.get(f"/images/x{quote} or id != {quote}")
    assert response.status_code == 422


def test_the_path_of_an_indexed_image_is_not_its_id(client, shop):
    file = next(shop.folder.iterdir())
    for id in (file.name, str(file).replace("/", "%2F")):
        assert client.get(f"/images/{id}").status_code in (404, 422)


def test_an_image_that_may_not_be_read_raises(shop):
    indexed = IndexedImages(shop.index.vector_store, ImagePolicy(roots=()))
    with pytest.raises(ImageError):
        indexed.thumbnail(indexed.sample(1)[0][0], 32)


@pytest.fixture
def upload(client):
    """Searches by an uploaded image, and returns its response as the server keeps it."""

    def send(image: Image.Image, **options) -> httpx.Response:
        buffer = io.BytesIO()
        image.save(buffer, **options)
        found = client.post("/search", data={"rerank": "no", "top": "1"}, files={"image": buffer.getvalue()})
        return client.get(found.json()["query"]["image_url"])

    return send


def test_an_upload_is_kept_scaled_down_and_without_its_metadata(upload):
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    response = upload(Image.new("RGB", (3000, 1000), "red"), format="JPEG", exif=exif)
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (1024, 341)
    assert b"taken at home" not in response.content


def test_a_transparent_upload_stays_transparent(upload):
    response = upload(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), format="PNG")
    assert Image.open(io.BytesIO(response.content)).getpixel((0, 0)) == (255, 0, 0, 0)


def test_the_upload_that_was_used_least_recently_is_gone(serve):
    client = serve(uploads=1)

    def send(color: str) -> str:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), color).save(buffer, "PNG")
        found = client.post("/search", data={"rerank": "no"}, files={"image": buffer.getvalue()})
        return found.json()["query"]["image_id"]

    red, green = send("red"), send("green")
    assert client.get(f"/uploads/{red}").status_code == 404
    assert client.get(f"/uploads/{green}").status_code == 200
    again = client.post("/search", json={"image_id": red})
    assert again.status_code == 422
    assert "search for it again, or send it again" in again.json()["error"]


@pytest.mark.parametrize("source", ["/etc/hostname", "http://127.0.0.1/a.png", "file:///etc/hosts"])
def test_an_upload_is_never_read_from_a_path_or_url(client, source):
    response = client.post("/search", json={"image": source})
    assert response.status_code == 422
    assert response.json()["error"].startswith("the query's image")
