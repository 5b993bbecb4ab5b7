"""Mock vision LLMs: their answers, repaired like real ones, and the calls they record."""

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
READABLE = [name for name in MALFORMED if name not in ("refusal", "empty")]


def test_a_mock_is_a_vision_llm():
    assert isinstance(MockVision(reversing()), VisionLLM)


def test_a_reversing_mock_reverses():
    assert MockVision(reversing()).rank("", IMAGE, 4).order == [4, 3, 2, 1]


def test_a_scripted_mock_returns_its_answers_in_turn_and_repeats_the_last():
    vision = MockVision(scripted("[1, 2]", "[2, 1]"))
    assert [vision.rank("", IMAGE, 2).order for _ in range(3)] == [[1, 2], [2, 1], [2, 1]]


def test_an_oracle_ranks_by_the_grades_of_labels():
    assert MockVision(oracle({1: 0, 2: 3, 3: 1}.get)).rank("", IMAGE, 3).order == [2, 3, 1]


def test_a_looking_mock_ranks_by_the_images_of_the_composite():
    grays = [Image.new("L", (9, 9), gray) for gray in (10, 200, 90)]
    vision = MockVision(looking(lambda image: image.convert("L").getpixel((60, 60))))
    assert vision.rank("", compose(None, grays, cell=96, columns=5), 3).order == [2, 3, 1]


@pytest.mark.parametrize("name", READABLE)
def test_each_malformed_answer_is_repaired_alike_by_the_mock_and_by_a_remote_llm(name):
    repaired = MockVision(malformed(name)).rank("", IMAGE, 9)
    remote = InstructorVision(lambda **_: completion(MALFORMED[name]))
    assert repaired == remote.rank("", IMAGE, 9)
    assert sorted(repaired.order) == list(range(1, 10))
    assert repaired.repairs


@pytest.mark.parametrize("name", ["refusal", "empty"])
def test_an_answer_without_candidates_raises_answer_error(name):
    with pytest.raises(AnswerError, match="none of the 9 candidates"):
        MockVision(malformed(name)).rank("", IMAGE, 9)


def test_a_failing_mock_raises_its_error():
    with pytest.raises(TimeoutError):
        MockVision(failing(TimeoutError())).rank("", IMAGE, 2)


def test_a_slow_mock_sleeps_first():
    start = time.perf_counter()
    MockVision(slow(0.05, reversing())).rank("", IMAGE, 2)
    assert time.perf_counter() - start >= 0.05


def test_a_mock_records_its_requests_and_chats():
    vision = MockVision(reversing(), caption="a cat")
    vision.rank("Rank.", IMAGE, 2)
    assert vision.chat([{"role": "user", "content": "What is it?"}]) == "a cat"
    assert (vision.requests[0].prompt, vision.requests[0].n) == ("Rank.", 2)
    assert vision.chats == ["What is it?"]
