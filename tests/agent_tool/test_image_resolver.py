"""Example images by reference: which a model may name, and what it is told of the others."""

from __future__ import annotations

import json
import re

import pytest
from image_server import serving
from llama_index.tools.image_search import ImageSearchToolSpec
from PIL import Image
from tool_responses import in_memory, parse_response, titles

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy


def test_an_earlier_result_is_an_example_by_its_id(spec):
    blue = parse_response(spec.search_images("blue", top_n=1))["results"][0]
    assert titles(spec.search_images(image=blue["id"], top_n=2)) == ["blue", "blue corner"]
    corner = parse_response(spec.search_images("", image=blue["id"], filters="price > 10", top_n=1))
    assert corner["results"][0]["title"] == "blue corner"
    reds = titles(spec.search_images("in red", image=corner["results"][0]["id"], top_n=3))
    assert "red corner" in reds


def test_a_short_id_stands_for_the_long_one(spec, index):
    short = parse_response(spec.search_images("blue", top_n=1))["results"][0]["id"]
    (long,) = [i for i in ids(index) if i.startswith(short)]
    assert (len(short), len(long)) == (12, 64)
    assert spec.describe_image(short) == spec.describe_image(long)


def ids(index) -> list[str]:
    found = index.as_retriever(similarity_top_k=99).retrieve("red")
    return [node.node.node_id for node in found]


@pytest.mark.parametrize("way", ["path", "data", "upload", "name in a root", "path in a root"])
def test_an_example_image_is_named_in_many_ways(index, images, tmp_path, way):
    (tmp_path / "uploads").mkdir()
    upload = tmp_path / "uploads" / "mine.png"
    upload.write_bytes((images / "green.png").read_bytes())
    spec = ImageSearchToolSpec(index.as_query_engine(similarity_top_k=1), ImagePolicy(roots=[tmp_path / "uploads"]))
    names = {
        "path": str(images / "green.png"),
        "data": in_memory(images / "green.png"),
        "upload": spec.keep(images / "green.png"),
        "name in a root": "mine.png",
        "path in a root": str(upload),
    }
    assert titles(spec.search_images(image=names[way])) == ["green"]
    in_text = f"![]({names[way]})"
    assert titles(spec.search_images(in_text)) == ["green"]


def test_a_url_is_opened_on_a_declared_host_and_on_no_other(index):
    engine = index.as_query_engine(similarity_top_k=1)
    declared = ImageSearchToolSpec(engine, ImagePolicy(roots=(), hosts=["127.0.0.1"]))
    with serving() as server:
        url = f"http://127.0.0.1:{server.server_port}/any.png"
        assert "is on the host" in parse_response(ImageSearchToolSpec(engine).search_images(image=url))["error"]
        assert server.seen == []
        assert len(titles(declared.search_images(image=url))) == 1


@pytest.mark.parametrize(
    ("image", "why"),
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
def test_a_refused_image_is_told_with_what_to_give_instead(spec, image, why, in_text):
    blocks = spec.search_images(f"![](<{image}>)") if in_text else spec.search_images(image=image)
    (words,) = blocks
    error = json.loads(words.text)["error"]
    assert re.search(why, error)
    assert "Instead, give the id of an earlier result" in error


def test_a_link_does_not_lead_out_of_an_upload_root(index, tmp_path, images):
    root, outside = tmp_path / "uploads", tmp_path / "secret.png"
    root.mkdir()
    outside.write_bytes((images / "red.png").read_bytes())
    (root / "link.png").symlink_to(outside)
    spec = ImageSearchToolSpec(index.as_query_engine(), ImagePolicy(roots=[root]))
    for name in ("link.png", str(root / "link.png"), "../secret.png", str(outside)):
        assert "outside of the allowed" in parse_response(spec.search_images(image=name))["error"]


def test_a_file_beside_the_indexed_ones_stays_closed(spec, images):
    beside = images / "beside.png"
    Image.new("RGB", (9, 9)).save(beside)
    try:
        assert "outside of the allowed" in parse_response(spec.search_images(image=str(beside)))["error"]
    finally:
        beside.unlink()


def test_no_policy_opens_all_paths(index, images):
    spec = ImageSearchToolSpec(index.as_query_engine(), ImagePolicy(max_bytes=10_000))
    assert "outside of the allowed" in parse_response(spec.search_images(image="/etc/passwd"))["error"]


def test_sizes_are_capped_for_everybody(index, images):
    small = ImagePolicy(roots=(), max_pixels=100)
    spec = ImageSearchToolSpec(index.as_query_engine(), small)
    data = in_memory(images / "red.png")
    assert "the limit is 100" in parse_response(spec.search_images(image=data))["error"]
    with pytest.raises(ImageError, match="limit is 100"):
        spec.keep(images / "red.png")


def test_the_oldest_uploads_go_first(spec):
    handles = [spec.keep(Image.new("RGB", (2, 2), (shade, 0, 0))) for shade in range(65)]
    assert "is not kept" in parse_response(spec.search_images(image=handles[0]))["error"]
    assert titles(spec.search_images(image=handles[-1]))
