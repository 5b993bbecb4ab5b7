"""`ListwiseReranker` returns every candidate once, in the order of the vision LLM, sync, async and in threads."""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gray_images import BAG, gray_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from run_profile import scaled

from mmrag.errors import SettingError
from mmrag.ranking import Ranking
from mmrag.rerank import ListwiseReranker
from mmrag.testing import MockVision, failing, looking, reversing, scripted, slow


def brightness(image: Image.Image) -> float:
    pixel = image.getpixel((60, 60))
    assert isinstance(pixel, tuple)
    return pixel[0]


def bright_first(values: list[int]) -> list[int]:
    return sorted(range(1, len(values) + 1), key=lambda label: (-values[label - 1], label))


def test_a_reversing_llm_reverses_the_candidates():
    result = ListwiseReranker(MockVision(reversing())).rerank(BAG, [gray_image(0)] * 9)
    assert result.ranking.order == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert result.ranking.reason == "The last shall be first."
    assert (result.ranking.repairs, result.failures) == ([], ())


@settings(max_examples=scaled(fast=8, full=60))
@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=9), passes=st.integers(1, 3))
def test_one_window_is_ranked_by_what_the_composite_shows(values, passes):
    reranker = ListwiseReranker(MockVision(looking(brightness)), passes=passes)
    result = reranker.rerank(BAG, [gray_image(v) for v in values])
    assert [values[x - 1] for x in result.ranking.order] == sorted(values, reverse=True)
    assert result.ranking.scores == pytest.approx(values)


@settings(max_examples=scaled(fast=5, full=40))
@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=40, unique=True), window=st.integers(2, 9))
def test_sliding_windows_keep_all_candidates_and_move_the_best_to_the_front(values, window):
    reranker = ListwiseReranker(MockVision(looking(brightness)), window=window)
    result = reranker.rerank(BAG, [gray_image(v) for v in values])
    assert sorted(result.ranking.order) == list(range(1, len(values) + 1))
    assert values[result.ranking.order[0] - 1] == max(values)
    assert all(len(call.labels) <= window for call in result.calls)


def test_the_top_ranks_of_a_long_list_are_right_as_far_as_windows_overlap():
    values = [7 * k % 97 for k in range(1, 41)]
    reranker = ListwiseReranker(MockVision(looking(brightness)), window=9, stride=4)
    order = reranker.rerank(BAG, [gray_image(v) for v in values]).ranking.order
    assert order[:5] == bright_first(values)[:5]


def test_scores_of_several_windows_are_left_out():
    reranker = ListwiseReranker(MockVision(looking(brightness)), window=3)
    assert reranker.rerank(BAG, [gray_image(v) for v in range(5)]).ranking.scores == []


def test_two_passes_cancel_a_position_bias():
    candidates = [gray_image(v) for v in range(9)]
    once = ListwiseReranker(MockVision(reversing())).rerank(BAG, candidates)
    twice = ListwiseReranker(MockVision(reversing()), passes=2).rerank(BAG, candidates)
    assert once.ranking.order == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert twice.ranking.order == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert [call.labels for call in twice.calls] == [(9, 8, 7, 6, 5, 4, 3, 2, 1), tuple(range(1, 10))]


def test_the_reason_for_another_top_candidate_is_left_out():
    vlm = MockVision(scripted(Ranking(order=[1, 2, 3], reason="reversed"), "[1, 2, 3]"))
    result = ListwiseReranker(vlm, passes=2).rerank(BAG, [gray_image(0)] * 3)
    assert result.ranking.order[0] == 1
    assert result.ranking.reason == ""


def test_an_empty_list_calls_no_model():
    vlm = MockVision(failing(AssertionError()))
    result = ListwiseReranker(vlm, on_failure="raise").rerank(BAG, [])
    assert (result.ranking.order, result.top, result.composite, result.ranking.answer) == ([], (), None, "")
    assert vlm.requests == []


def test_a_single_candidate_is_ranked_for_its_reason():
    result = ListwiseReranker(MockVision(reversing())).rerank(BAG, [gray_image(0)])
    assert (result.ranking.order, result.ranking.reason) == ([1], "The last shall be first.")


@pytest.mark.parametrize(("top_n", "top"), [(None, (3, 2, 1)), (2, (3, 2)), (99, (3, 2, 1))])
def test_top_n_shortens_the_top_and_never_the_ranking(top_n, top):
    result = ListwiseReranker(MockVision(reversing())).rerank(BAG, [gray_image(0)] * 3, top_n)
    assert (result.top, result.ranking.order) == (top, [3, 2, 1])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"window": 1}, "window=1"),
        ({"window": 26}, "window=26"),
        ({"stride": 10}, "stride of 10"),
        ({"passes": 0}, "passes=0"),
        ({"on_failure": "ignore"}, "on_failure='ignore'"),
    ],
)
def test_invalid_settings_are_refused_at_once(setting, message):
    with pytest.raises(SettingError, match=message):
        ListwiseReranker(MockVision(reversing()), **setting)


def test_top_n_of_zero_is_refused():
    with pytest.raises(SettingError, match="top_n=0"):
        ListwiseReranker(MockVision(reversing())).rerank(BAG, [gray_image(0)], 0)


def test_timings_ms_of_each_stage():
    reranker = ListwiseReranker(MockVision(slow(0.02, reversing())))
    times = reranker.rerank(BAG, [gray_image(0)] * 3).timings_ms
    assert set(times) == {"load", "compose", "caption", "rank", "total"}
    assert times["rank"] >= 20
    assert times["total"] >= times["load"] + times["compose"] + times["caption"] + times["rank"]


def test_arerank_does_not_block_the_event_loop():
    together = threading.Barrier(4, timeout=20)  # breaks, unless four calls are under way at once

    def wait_for_the_others(asked):
        together.wait()
        return reversing()(asked)

    reranker = ListwiseReranker(MockVision(wait_for_the_others), on_failure="raise")

    async def four_at_once():
        return await asyncio.gather(*(reranker.arerank(BAG, [gray_image(0)] * 3) for _ in range(4)))

    assert [r.ranking.order for r in asyncio.run(four_at_once())] == [[3, 2, 1]] * 4


def test_a_cancelled_arerank_makes_no_further_call():
    asked, go_on = threading.Event(), threading.Event()

    def answer(question):
        asked.set()
        go_on.wait(20)
        return reversing()(question)

    vlm = MockVision(answer)

    async def cancelled():
        task = asyncio.create_task(ListwiseReranker(vlm, window=2).arerank(BAG, [gray_image(0)] * 9))
        await asyncio.to_thread(asked.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(cancelled())
    for thread in threading.enumerate():
        if thread.name.startswith("rerank"):
            thread.join()
    assert len(vlm.requests) == 1


def test_concurrent_threads_get_their_own_results():
    reranker = ListwiseReranker(MockVision(looking(brightness)))
    lists = [[(31 * k * j) % 251 for k in range(1, 8)] for j in range(1, 13)]
    with ThreadPoolExecutor(6) as pool:
        results = pool.map(lambda v: reranker.rerank(BAG, [gray_image(x) for x in v]), lists)
    assert [r.ranking.order for r in results] == [bright_first(values) for values in lists]


def test_pickle_leaves_the_caption_cache_out():
    reranker = ListwiseReranker(MockVision(reversing()))
    reranker.rerank(BAG, [gray_image(0)])
    copy = pickle.loads(pickle.dumps(reranker))
    assert copy.rerank(BAG, [gray_image(0)] * 2).ranking.order == [2, 1]
