"""Hostile images, paths and bytes load or raise `ImageError`, and nothing else; the one position that proves it."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_images import EXTENSIONS, encoded, sample_image
from PIL import Image
from run_profile import scaled

from mmrag.errors import ImageError
from mmrag.images import ImagePolicy, load_image

VALID = [encoded(sample_image(), format) for format in EXTENSIONS]
MODEST = ImagePolicy(max_pixels=1_000_000)


@pytest.fixture(scope="module")
def corpus(malformed_images, tmp_path_factory):
    return malformed_images(tmp_path_factory.mktemp("hostile"))


def size_or_error(path) -> tuple[int, int] | str:
    try:
        return load_image(path).size
    except ImageError as error:
        return str(error)


def test_every_malformed_image_loads_or_is_refused_for_its_reason(corpus):
    assert min(Counter(isinstance(expected, str) for _, expected in corpus).values()) > 60
    open_files = len(os.listdir("/dev/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, expected in corpus:
            found = size_or_error(path)
            if isinstance(expected, tuple):
                assert found == expected
            else:
                assert re.search(expected, found)
                assert path.name in found
                assert found.isprintable()
                assert len(found) < 500
    assert len(os.listdir("/dev/fd")) == open_files


def test_threads_load_and_refuse_the_same_and_keep_the_warning_filters(corpus):
    paths = [path for path, _ in corpus if "huge" not in path.name]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(size_or_error, paths)) == list(map(size_or_error, paths))
    assert warnings.filters == before


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An allowed folder with links that lead out of it; only the image inside is 1×1."""
    home = tmp_path_factory.mktemp("home")
    (home / "shop/more").mkdir(parents=True)
    Image.new("L", (1, 1)).save(home / "shop/in.png")
    Image.new("L", (2, 2)).save(home / "out.png")
    (home / "shop/more/link.png").symlink_to(home / "out.png")
    (home / "shop/up").symlink_to(home)
    return home / "shop"


STEPS = ["..", ".", "", "more", "up", "in.png", "out.png", "link.png", "shop"]


@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6))
def test_no_path_leads_out_of_the_allowed_roots(shop, steps):
    for path in ("/".join(steps), f"{shop}/" + "/".join(steps)):
        try:
            size = load_image(shop / path, ImagePolicy(roots=[shop])).size
        except ImageError:
            continue
        assert size == (1, 1)


def load_or_refuse(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = load_image(data, MODEST)
        except ImageError as error:
            assert str(error).isprintable()
        else:
            assert type(image) is Image.Image
            assert len(image.tobytes()) > 0


@given(data=st.binary(max_size=300))
def test_random_bytes_raise_imageerror(data):
    load_or_refuse(data)


@given(start=st.sampled_from(VALID), size=st.integers(8, 60), rest=st.binary(max_size=300))
def test_a_valid_header_with_random_bytes_after_it_raises_imageerror(start, size, rest):
    load_or_refuse(start[:size] + rest)


@settings(max_examples=scaled(fast=40, full=400))
@given(data=st.sampled_from(VALID), changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
def test_changed_bytes_raise_nothing_but_imageerror(data, changes):
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(data)] = value
    load_or_refuse(bytes(changed))


@settings(max_examples=scaled(fast=40, full=400))
@given(
    data=st.sampled_from(VALID),
    position=st.integers(0, 2_000),
    length=st.integers(0, 40),
    filler=st.binary(max_size=40),
)
def test_replaced_bytes_raise_nothing_but_imageerror(data, position, length, filler):
    position %= len(data)
    load_or_refuse(data[:position] + filler + data[position + length :])


@given(text=st.text(max_size=200))
def test_any_text_as_a_source_raises_imageerror(text):
    for source in (text, f"data:{text}", f"http://{text}", f"data:image/png;base64,{text}"):
        with pytest.raises(ImageError) as error:
            load_image(source, ImagePolicy(roots=[]))
        assert str(error.value).isprintable()
