"""Failures of `ListwiseReranker`: malformed answers, exceptions and missing images lose no candidate."""

from __future__ import annotations

import logging

import pytest
from gray_images import BAG, gray_image

from mmrag.errors import AnswerError, ImageError
from mmrag.query import Query
from mmrag.ranking import Ranking
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MALFORMED, MockVision, failing, reversing, scripted


@pytest.mark.parametrize("row", MALFORMED)
@pytest.mark.parametrize("n", [1, 5, 9, 20])
def test_a_malformed_answer_loses_no_candidate(row, n):
    reranker = ListwiseReranker(MockVision(scripted(MALFORMED[row])))
    result = reranker.rerank(BAG, [gray_image(0)] * n)
    assert sorted(result.ranking.order) == list(range(1, n + 1))
    assert bool(result.failures) == (row in ("refusal", "empty") or (n == 1 and not result.calls))


def test_a_failing_llm_keeps_the_order_and_reports_it(caplog):
    caplog.set_level(logging.DEBUG)
    vlm = MockVision(failing(RuntimeError("quotes SECRET")))
    result = ListwiseReranker(vlm, caption=False).rerank(BAG, [gray_image(0)] * 3)
    assert result.ranking.order == [1, 2, 3]
    assert result.ranking.repairs == ["order kept: the vision LLM failed with RuntimeError"]
    assert "SECRET" not in caplog.text + str(result)


def test_a_failed_window_does_not_affect_the_others():
    answers = ["no idea", "[3] > [2] > [1]"]
    reranker = ListwiseReranker(MockVision(scripted(*answers)), window=3, stride=2)
    result = reranker.rerank(BAG, [gray_image(0)] * 5)
    assert result.ranking.order == [3, 2, 1, 4, 5]
    assert len(result.failures) == 1


def test_an_incomplete_ranking_is_a_failure():
    vlm = MockVision(lambda asked: Ranking(order=[1]))
    result = ListwiseReranker(vlm).rerank(BAG, [gray_image(0)] * 3)
    assert result.failures[0].startswith("MockVision.rank returned 1 labels for 3 candidates")


@pytest.mark.parametrize("error", [AnswerError("no"), TimeoutError()])
def test_on_failure_raise(error):
    reranker = ListwiseReranker(MockVision(failing(error)), on_failure="raise")
    with pytest.raises(type(error)):
        reranker.rerank(BAG, [gray_image(0)] * 3)


def test_a_candidate_that_cannot_be_loaded_is_kept_and_reported_missing(tmp_path):
    gone = tmp_path / "gone.jpg"
    result = ListwiseReranker(MockVision(reversing())).rerank(BAG, [gray_image(0), gone, None])
    assert result.ranking.order == [3, 2, 1]
    assert "gone.jpg" in result.missing[2]
    assert result.missing[3] == "it has no image"


def test_without_any_image_no_model_is_called(tmp_path):
    vlm = MockVision(reversing())
    result = ListwiseReranker(vlm).rerank(BAG, [None, tmp_path / "gone.jpg"])
    assert (result.ranking.order, vlm.requests) == ([1, 2], [])
    assert (result.ranking.repairs, result.judged) == (["no candidate has an image"], False)


def test_a_query_image_that_cannot_be_loaded_raises(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        ListwiseReranker(MockVision(reversing())).rerank(Query("a bag", tmp_path / "gone.jpg"), [gray_image(0)])
