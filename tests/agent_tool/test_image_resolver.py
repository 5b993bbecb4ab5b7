"""Image references of a model: which are resolved, and which are refused with what to give instead."""

from __future__ import annotations

import re

import pytest
from image_server import serving
from PIL import Image
from tool_responses import parse_response, titles, to_data_uri

from mmrag.agent_tool.image_resolver import UploadCache
from mmrag.agent_tool.tool import ImageSearch
from mmrag.errors import ImageError
from mmrag.images import ImagePolicy


@pytest.fixture
def with_policy(index):
    """Searches for one image with the given policy."""

    def make(policy: ImagePolicy | None = None) -> ImageSearch:
        return ImageSearch(index.as_query_engine(similarity_top_k=1), policy)

    return make


def error_of(search: ImageSearch, image: str) -> str:
    return parse_response(search.search({"image": image}))["error"]


def test_an_earlier_result_is_an_example_by_its_id(search):
    blue = parse_response(search(text="blue", top_n=1))["results"][0]
    assert titles(search(image=blue["id"], top_n=2)) == ["blue", "blue corner"]
    corner = parse_response(search(text="", image=blue["id"], filters="price > 10", top_n=1))
    assert corner["results"][0]["title"] == "blue corner"
    reds = titles(search(text="in red", image=corner["results"][0]["id"], top_n=3))
    assert "red corner" in reds


def test_a_short_id_stands_for_the_content_hash(search, image_search, index):
    short = parse_response(search(text="blue", top_n=1))["results"][0]["id"]
    nodes = index.as_retriever(similarity_top_k=99).retrieve("red")
    (long,) = [node.node.node_id for node in nodes if node.node.node_id.startswith(short)]
    assert (len(short), len(long)) == (12, 64)
    assert image_search.describe({"id": short}).text == image_search.describe({"id": long}).text


@pytest.mark.parametrize("form", ["path", "data URI", "upload", "name below a root", "path below a root"])
def test_an_image_reference_has_many_forms(with_policy, images, tmp_path, form):
    upload = tmp_path / "mine.png"
    upload.write_bytes((images / "green.png").read_bytes())
    search = with_policy(ImagePolicy(roots=[tmp_path]))
    reference = {
        "path": str(images / "green.png"),
        "data URI": to_data_uri(images / "green.png"),
        "upload": search.resolver.add_upload(images / "green.png"),
        "name below a root": "mine.png",
        "path below a root": str(upload),
    }[form]
    assert titles(search.search({"image": reference})) == ["green"]
    assert titles(search.search({"text": f"![]({reference})"})) == ["green"]


def test_a_url_is_fetched_from_an_allowed_host_and_from_no_other(with_policy):
    with serving() as server:
        url = f"http://127.0.0.1:{server.server_port}/any.png"
        assert "is on the host" in error_of(with_policy(), url)
        assert server.seen == []
        assert len(titles(with_policy(ImagePolicy(roots=(), hosts=["127.0.0.1"])).search({"image": url}))) == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("/etc/passwd", "outside of the allowed folders"),
        ("../../../../etc/passwd", "outside of the allowed folders"),
        ("file:///etc/passwd", "scheme 'file'"),
        ("http://169.254.169.254/latest", "is on the host"),
        ("data:image/png;base64,iVBORw0KGgo=", "is damaged|no image"),
        ("last", "the user has sent no image"),
        ("upload-0123456789ab", "is not kept"),
        ("result 1", "outside of the allowed folders"),
        ("0123456789abcdef", "outside of the allowed folders"),
        ('" or id != "', "outside of the allowed folders"),
    ],
)
@pytest.mark.parametrize("in_text", [False, True])
def test_a_refused_reference_is_an_error_with_the_accepted_forms(search, image, message, in_text):
    response = search(text=f"![](<{image}>)") if in_text else search(image=image)
    error = parse_response(response)["error"]
    assert response.is_error
    assert response.images == ()
    assert re.search(message, error)
    assert "Instead, give the id of an earlier result" in error


def test_a_symlink_does_not_lead_out_of_a_root(with_policy, tmp_path, images):
    root, outside = tmp_path / "uploads", tmp_path / "secret.png"
    root.mkdir()
    outside.write_bytes((images / "red.png").read_bytes())
    (root / "link.png").symlink_to(outside)
    search = with_policy(ImagePolicy(roots=[root]))
    for reference in ("link.png", str(root / "link.png"), "../secret.png", str(outside)):
        assert "outside of the allowed" in error_of(search, reference)


def test_a_file_beside_the_indexed_ones_is_refused(with_policy, images):
    beside = images / "beside.png"
    Image.new("RGB", (9, 9)).save(beside)
    try:
        assert "outside of the allowed" in error_of(with_policy(), str(beside))
    finally:
        beside.unlink()


def test_a_policy_without_roots_allows_no_path(with_policy):
    assert "outside of the allowed" in error_of(with_policy(ImagePolicy(max_bytes=10_000)), "/etc/passwd")


def test_size_limits_hold_for_models_and_for_uploads(with_policy, images):
    search = with_policy(ImagePolicy(roots=(), max_pixels=100))
    assert "the limit is 100" in error_of(search, to_data_uri(images / "red.png"))
    with pytest.raises(ImageError, match="limit is 100"):
        search.resolver.add_upload(images / "red.png")


def test_the_upload_that_was_used_least_recently_is_evicted():
    uploads = UploadCache(max_images=2)
    red, green, blue = (Image.new("RGB", (2, 2), color) for color in ("red", "green", "blue"))
    first, second = uploads.add(red)[0], uploads.add(green)[0]
    assert uploads.add(red)[0] == first
    third = uploads.add(blue)[0]
    assert [uploads.get(handle) is not None for handle in (first, second, third)] == [True, False, True]


def test_an_upload_is_scaled_down_and_keeps_its_transparency():
    uploads = UploadCache()
    handle, scaled = uploads.add(Image.new("RGB", (3000, 1000)))
    assert scaled.size == (1024, 341)
    assert uploads.get(handle) is scaled
    _, transparent = uploads.add(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))
    assert transparent.getpixel((0, 0)) == (255, 0, 0, 0)
