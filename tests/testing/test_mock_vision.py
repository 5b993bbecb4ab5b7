"""The mocks answer as they are told, through the repairs that real answers go through."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from mmrag.errors import AnswerError
from mmrag.rerank import compose
from mmrag.testing import (
    MALFORMED,
    MockVision,
    completion,
    failing,
    looking,
    malformed,
    oracle,
    reversing,
    scripted,
    slow,
)
from mmrag.vision.base import VisionLLM
from mmrag.vision.remote.instructor import InstructorVision

IMAGE = Image.new("RGB", (480, 192))
READABLE = [row for row in MALFORMED if row not in ("refusal", "empty")]


def test_a_mock_is_a_vision_llm():
    assert isinstance(MockVision(reversing()), VisionLLM)


def test_a_reversing_mock_reverses():
    assert MockVision(reversing()).rank("", IMAGE, 4).order == [4, 3, 2, 1]


def test_a_scripted_mock_says_its_lines_and_repeats_the_last():
    vision = MockVision(scripted("[1, 2]", "[2, 1]"))
    assert [vision.rank("", IMAGE, 2).order for _ in range(3)] == [[1, 2], [2, 1], [2, 1]]


def test_an_oracle_knows_the_grades():
    assert MockVision(oracle({1: 0, 2: 3, 3: 1}.get)).rank("", IMAGE, 3).order == [2, 3, 1]


def test_a_looking_mock_sees_the_cells():
    shades = [Image.new("L", (9, 9), shade) for shade in (10, 200, 90)]
    vision = MockVision(looking(lambda image: image.convert("L").getpixel((60, 60))))
    assert vision.rank("", compose(None, shades, cell=96, columns=5), 3).order == [2, 3, 1]


@pytest.mark.parametrize("row", READABLE)
def test_each_malformed_answer_is_mended_alike_by_the_mock_and_by_a_remote_llm(row):
    mended = MockVision(malformed(row)).rank("", IMAGE, 9)
    remote = InstructorVision(lambda **_: completion(MALFORMED[row]))
    assert mended == remote.rank("", IMAGE, 9)
    assert sorted(mended.order) == list(range(1, 10))
    assert mended.repairs


@pytest.mark.parametrize("row", ["refusal", "empty"])
def test_an_answer_without_candidates_is_a_failure(row):
    with pytest.raises(AnswerError, match="none of the 9 candidates"):
        MockVision(malformed(row)).rank("", IMAGE, 9)


def test_a_failing_mock_fails():
    with pytest.raises(TimeoutError):
        MockVision(failing(TimeoutError())).rank("", IMAGE, 2)


def test_a_slow_mock_takes_its_time():
    start = time.perf_counter()
    MockVision(slow(0.05, reversing())).rank("", IMAGE, 2)
    assert time.perf_counter() - start >= 0.05


def test_a_mock_remembers_what_it_was_asked():
    vision = MockVision(reversing(), caption="a cat")
    vision.rank("Rank.", IMAGE, 2)
    assert vision.chat([{"role": "user", "content": "What is it?"}]) == "a cat"
    assert (vision.asked[0].prompt, vision.asked[0].n) == ("Rank.", 2)
    assert vision.chats == ["What is it?"]
