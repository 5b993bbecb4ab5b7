"""`ListwiseReranker` over the real Phi-3 Vision network and loader, at tiny size with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mmrag.query import Query
from mmrag.rerank import ListwiseReranker
from mmrag.vision import Phi3Vision, RankingConfig

TINY = Path(__file__).parents[1] / "golden" / "phi3_vision" / "tiny"
COLORS = ["red", "green", "blue", "white", "black", "brown", "pink", "grey", "orange"]


@pytest.fixture(scope="module")
def phi3():
    return Phi3Vision.from_pretrained(TINY)


@pytest.mark.parametrize("method", ["permutation", "grades", "first"])
def test_every_method_gives_a_complete_ranking(phi3, method):
    phi3.ranking_config = RankingConfig(method=method, max_reason_tokens=4)
    candidates = [Image.new("RGB", (40, 30), color) for color in COLORS]
    query = Query("a bag with this", Image.new("RGB", (20, 20), "red"))
    result = ListwiseReranker(phi3, caption=False, on_failure="raise").rerank(query, candidates)
    assert sorted(result.ranking.order) == list(range(1, 10))
    assert len(result.ranking.scores) == 9
    assert (result.ranking.repairs, result.failures) == ([], ())
    assert result.composite is not None and result.composite.size == (1344, 1008)


def test_caption_and_ranking_encode_the_composite_once(phi3, monkeypatch):
    phi3.ranking_config = RankingConfig(method="first")
    cuts = []
    images = phi3.processor.preprocess_images
    monkeypatch.setattr(phi3.processor, "preprocess_images", lambda *args: cuts.append(1) or images(*args))
    query = Query("a bag", Image.new("RGB", (20, 20), "navy"))
    result = ListwiseReranker(phi3, on_failure="raise").rerank(
        query, [Image.new("RGB", (40, 30), color) for color in COLORS[:3]]
    )
    assert set(result.timings_ms) >= {"caption", "rank"}
    assert len(cuts) == 1
