"""No file, however bad, does more than raise an `ImageError`."""

from __future__ import annotations

import os
import warnings
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


def outcome(path) -> tuple[int, int] | str:
    try:
        return load_image(path).size
    except ImageError as refusal:
        return str(refusal)


def test_the_corpus_is_large_and_mixed(corpus):
    loading = [path for path, expectation in corpus if isinstance(expectation, tuple)]
    assert len(loading) > 60
    assert len(corpus) - len(loading) > 60


def test_each_hostile_image_loads_right_or_is_refused_for_its_reason(corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, expectation in corpus:
            if isinstance(expectation, tuple):
                assert outcome(path) == expectation
            else:
                with pytest.raises(ImageError, match=expectation):
                    load_image(path)


def test_each_refusal_is_one_short_line_that_names_the_file(corpus):
    for path, expectation in corpus:
        if isinstance(expectation, str):
            refusal = outcome(path)
            assert path.name in refusal
            assert refusal.isprintable()
            assert len(refusal) < 500


def test_the_outcome_is_the_same_in_many_threads(corpus):
    paths = [path for path, _ in corpus if "huge" not in path.name]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(outcome, paths)) == list(map(outcome, paths))
    assert warnings.filters == before


def test_no_file_stays_open(corpus):
    before = len(os.listdir("/dev/fd"))
    for path, _ in corpus:
        outcome(path)
    assert len(os.listdir("/dev/fd")) == before


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder to stay in, and ways out of it; only the image inside is 1×1."""
    home = tmp_path_factory.mktemp("home")
    (home / "shop/more").mkdir(parents=True)
    Image.new("L", (1, 1)).save(home / "shop/in.png")
    Image.new("L", (2, 2)).save(home / "out.png")
    (home / "shop/more/link.png").symlink_to(home / "out.png")
    (home / "shop/up").symlink_to(home)
    return home / "shop"


STEPS = ["..", ".", "", "more", "up", "in.png", "out.png", "link.png", "shop"]


@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6))
def test_no_way_leads_out_of_the_allowed_folder(shop, steps):
    for way in ("/".join(steps), f"{shop}/" + "/".join(steps)):
        try:
            size = load_image(shop / way, ImagePolicy(roots=[shop])).size
        except ImageError:
            continue
        assert size == (1, 1)


def loads_or_is_refused(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = load_image(data, MODEST)
        except ImageError as refusal:
            assert str(refusal).isprintable()
        else:
            assert type(image) is Image.Image
            assert len(image.tobytes()) > 0


@given(data=st.binary(max_size=300))
def test_random_bytes_are_refused_and_no_more(data):
    loads_or_is_refused(data)


@given(start=st.sampled_from(VALID), size=st.integers(8, 60), rest=st.binary(max_size=300))
def test_a_true_beginning_with_a_random_end_is_harmless(start, size, rest):
    loads_or_is_refused(start[:size] + rest)


@settings(max_examples=scaled(fast=40, full=400))
@given(data=st.sampled_from(VALID), changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
def test_a_image_with_changed_bytes_is_harmless(data, changes):
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(data)] = value
    loads_or_is_refused(bytes(changed))


@settings(max_examples=scaled(fast=40, full=400))
@given(
    data=st.sampled_from(VALID), place=st.integers(0, 2_000), length=st.integers(0, 40), filler=st.binary(max_size=40)
)
def test_a_image_with_a_piece_replaced_is_harmless(data, place, length, filler):
    place %= len(data)
    loads_or_is_refused(data[:place] + filler + data[place + length :])


@given(text=st.text(max_size=200))
def test_any_text_is_a_source_or_refused(text):
    for source in (text, f"data:{text}", f"http://{text}", f"data:image/png;base64,{text}"):
        with pytest.raises(ImageError) as refusal:
            load_image(source, ImagePolicy(roots=[]))
        assert str(refusal.value).isprintable()
