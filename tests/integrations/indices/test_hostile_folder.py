"""A folder of two hundred bad and odd images: each is indexed right, or skipped with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from llama_index.embeddings.visualized_bge import VisualizedBGEEmbedding
from llama_index.indices.composed_image import ComposedImageIndex
from llama_index.indices.composed_image.indexing import open_manifest
from malformed_images import Expectation

from mmrag.images import load_image
from mmrag.indexing import IndexReport
from mmrag.testing import toy_encoder

Corpus = list[tuple[Path, Expectation]]
REASONS = "cannot be read|no regular file|bytes, more than|no image that can be read"


@pytest.fixture(scope="module")
def corpus(malformed_images, tmp_path_factory) -> Corpus:
    """The files of the corpus; a folder is no file, and what is in it is listed by itself."""
    written = malformed_images(tmp_path_factory.mktemp("hostile").resolve())
    return [(path, expected) for path, expected in written if not os.path.isdir(path)]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    place = tmp_path_factory.mktemp("index") / "shop.db"
    with ComposedImageIndex.open(place, VisualizedBGEEmbedding(encoder=toy_encoder())) as index:
        yield index


@pytest.fixture(scope="module")
def report(index, corpus) -> IndexReport:
    return index.add_folder(corpus[0][0].parent)


@pytest.fixture(scope="module")
def entries(index, report) -> dict[str, str]:
    """Which image each indexed file holds."""
    with open_manifest(index.vector_store, index._embed_model) as manifest:
        assert manifest.pending() == []
        return {entry.path: entry.image_id for entry in manifest.files_under(str(report.source))}


def test_every_file_is_either_indexed_or_skipped_for_its_reason(corpus, report, entries):
    skipped = {os.fsencode(skip.path): skip.reason for skip in report.skipped}
    for path, expected in corpus:
        if _is_no_utf8(path):
            readable = os.fsencode(path).decode(errors="replace").encode()
            assert "no valid UTF-8" in skipped.pop(readable)
        elif isinstance(expected, tuple):
            assert str(path) in entries
        else:
            assert skipped.pop(os.fsencode(path))
    assert skipped == {}
    assert report.files == len(corpus)


def test_stored_vectors_equal_those_of_the_encoder(corpus, index, entries):
    right = [path for path, expected in corpus if isinstance(expected, tuple)]
    right = [path for path in right if not _is_no_utf8(path)]
    vectors = index.vector_store.vectors(list(entries.values()))
    assert len(vectors) == index.vector_store.count() == len(set(entries.values()))
    for path in right:
        wanted = toy_encoder().encode([load_image(path)])[0]
        np.testing.assert_allclose(vectors[entries[str(path)]], wanted, atol=1e-5)


def test_each_reason_is_one_line_that_can_be_shown(report):
    for skip in report.skipped:
        assert skip.reason.isprintable()
        assert len(skip.reason) < 500


def test_a_second_run_embeds_nothing_and_skips_the_same(corpus, index, report):
    again = index.add_folder(report.source, sync=True)
    assert (again.embedded, again.new, again.changed, again.deleted) == (0, 0, 0, 0)
    assert again.unchanged == report.files - len(report.skipped)
    assert set(again.skipped) == set(report.skipped)


def _is_no_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return True
    return False
