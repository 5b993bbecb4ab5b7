"""`PointwiseReranker` sorts candidates by score; what could not be scored keeps its retrieval rank and is reported."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading

import pytest
from gray_images import BAG, gray_image
from hypothesis import given
from hypothesis import strategies as st

from mmrag.errors import AnswerError, ImageError, SettingError
from mmrag.query import Query
from mmrag.rerank import PointwiseReranker, Reranker


class Brightness:
    """Scores a candidate by its brightness; NaN for a black one, an exception where the batch holds a white one."""

    def __init__(self):
        self.batches = []

    def score(self, query, candidates):
        values = [image.getpixel((0, 0))[0] for image in candidates]
        self.batches.append((query, values))
        if 255 in values:
            raise RuntimeError("quotes SECRET")
        return [value or math.nan for value in values]


def rerank(values, query=BAG, top_n=None, **settings):
    candidates = [value if value is None else gray_image(value) for value in values]
    return PointwiseReranker(Brightness(), **settings).rerank(query, candidates, top_n)


@given(values=st.lists(st.integers(1, 254), min_size=1, max_size=40), batch_size=st.integers(1, 50))
def test_candidates_are_sorted_by_score_and_ties_keep_retrieval_order(values, batch_size):
    result = rerank(values, batch_size=batch_size)
    expected = sorted(range(1, len(values) + 1), key=lambda label: (-values[label - 1], label))
    assert (result.ranking.order, result.ranking.scores) == (expected, values)
    assert (result.ranking.repairs, result.failures, result.missing) == ([], (), {})


@given(values=st.lists(st.sampled_from([None, 0, 255, 10, 200, 90]), max_size=12), batch_size=st.integers(1, 5))
def test_no_candidate_is_lost_and_the_unscored_keep_their_retrieval_rank(values, batch_size):
    result = rerank(values, batch_size=batch_size)
    order = result.ranking.order
    assert sorted(order) == list(range(1, len(values) + 1))
    unscored = [label for label, value in enumerate(values, 1) if value in (None, 0, 255)]
    assert all(order[label - 1] == label for label in unscored)
    assert bool(result.ranking.repairs) == bool(unscored)
    assert bool(result.failures) == (255 in values)
    if unscored:
        assert result.ranking.scores == []


def test_missing_unscored_and_failed_candidates_are_reported(tmp_path, caplog):
    scorer = Brightness()
    candidates = [gray_image(9), None, tmp_path / "gone.jpg", gray_image(0), gray_image(90), gray_image(255)]
    result = PointwiseReranker(scorer, batch_size=3).rerank(BAG, candidates)
    assert result.ranking.order == [5, 2, 3, 4, 1, 6]
    assert result.missing[2] == "it has no image" and "gone.jpg" in result.missing[3]
    assert result.failures == ("the scorer failed with RuntimeError",)
    assert [values for _, values in scorer.batches] == [[9, 0, 90], [255]]
    assert result.ranking.repairs == [
        "not scored, retrieval rank kept: 2, 3, 4, 6",
        f"order kept: {result.failures[0]}",
    ]
    assert set(result.timings_ms) == {"load", "score", "total"} and result.judged
    assert "SECRET" not in caplog.text + str(result)


def test_the_scorer_gets_the_query_with_its_image_loaded(tmp_path):
    gray_image(7).save(tmp_path / "query.png")
    scorer = Brightness()
    PointwiseReranker(scorer).rerank(Query("a bag", tmp_path / "query.png"), [gray_image(9)])
    query, _ = scorer.batches[0]
    assert query.text == "a bag" and query.image.getpixel((0, 0)) == (7, 7, 7)
    with pytest.raises(ImageError, match=r"gone\.png"):
        PointwiseReranker(scorer).rerank(Query("a bag", tmp_path / "gone.png"), [gray_image(9)])


def test_a_wrong_number_of_scores_is_a_failure():
    class TooFew:
        def score(self, query, candidates):
            return [1.0]

    result = PointwiseReranker(TooFew()).rerank(BAG, [gray_image(9)] * 3)
    assert result.ranking.order == [1, 2, 3]
    assert result.failures[0].startswith("TooFew.score returned 1 scores for 3 candidates")
    assert not result.judged
    with pytest.raises(AnswerError, match="1 scores for 3"):
        PointwiseReranker(TooFew(), on_failure="raise").rerank(BAG, [gray_image(9)] * 3)


def test_without_any_image_the_scorer_is_not_called():
    scorer = Brightness()
    reranker = PointwiseReranker(scorer)
    result = reranker.rerank(BAG, [None, None])
    assert (result.ranking.repairs, result.judged) == (["no candidate has an image"], False)
    assert (reranker.rerank(BAG, []).ranking.order, scorer.batches) == ([], [])


def test_top_n_shortens_the_top_and_never_the_ranking():
    result = rerank([9, 90, 200], top_n=1)
    assert (result.top, result.ranking.order) == ((3,), [3, 2, 1])


@pytest.mark.parametrize(
    ("settings", "message"), [({"batch_size": 0}, "batch_size=0"), ({"on_failure": "ignore"}, "on_failure='ignore'")]
)
def test_invalid_settings_are_refused_at_once(settings, message):
    with pytest.raises(SettingError, match=message):
        PointwiseReranker(Brightness(), **settings)


def test_arerank_pickle_and_protocol():
    reranker = pickle.loads(pickle.dumps(PointwiseReranker(Brightness())))
    assert isinstance(reranker, Reranker)
    assert asyncio.run(reranker.arerank(BAG, [gray_image(9), gray_image(90)])).ranking.order == [2, 1]


def test_a_cancelled_arerank_makes_no_further_call():
    started, finish = threading.Event(), threading.Event()
    scorer = Brightness()

    def wait(query, candidates, score=scorer.score):
        started.set()
        finish.wait(20)
        return score(query, candidates)

    scorer.score = wait

    async def cancelled():
        reranker = PointwiseReranker(scorer, batch_size=1)
        task = asyncio.create_task(reranker.arerank(BAG, [gray_image(9)] * 3))
        await asyncio.to_thread(started.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        finish.set()

    asyncio.run(cancelled())
    for thread in threading.enumerate():
        if thread.name.startswith("rerank"):
            thread.join()
    assert len(scorer.batches) == 1
