"""Metrics of the bundled demo models and of controls, on a small benchmark of its own seed."""

from __future__ import annotations

import numpy as np
import pytest
from run_profile import scaled

from examples.train_demo_models.benchmark import color_rankings, encoder_rankings, make_benchmark
from examples.train_demo_models.encoder import new_encoder
from examples.train_demo_models.report import changes, rerank
from examples.train_demo_models.reranker import RANKING_CONFIG, new_reranker
from mmrag.embedding import VisualizedBGE
from mmrag.vision import Phi3Vision


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory):
    return make_benchmark(tmp_path_factory.mktemp("benchmark"), size=432, queries_per_type=8, seed=8001)


@pytest.fixture(scope="session")
def rankings(benchmark):
    return encoder_rankings(benchmark, VisualizedBGE.from_pretrained("demo"), halves=True)


@pytest.fixture(scope="session")
def vlm():
    return Phi3Vision.from_pretrained("demo")


def mean(benchmark, rankings, metric):
    return np.mean([values[metric] for values in benchmark.metrics(rankings).values()])


def test_metrics_of_a_ranking_that_is_known(benchmark):
    query = benchmark.queries[0]
    grades = {i.id: query.target.grade(i.product, i.pattern, i.color) for i in benchmark.items}
    best = sorted(grades, key=lambda item: -grades[item])
    values = benchmark.metrics({query.id: best})
    assert (values[query.id]["hit@1"], values[query.id]["nDCG@9"]) == (1, 1)
    assert {values[other.id]["nDCG@9"] for other in benchmark.queries[1:]} == {0}


def test_the_demo_encoder_finds_exact_answers(benchmark, rankings):
    assert mean(benchmark, rankings["composed"], "hit@9") >= 0.97
    assert mean(benchmark, rankings["composed"], "hit@1") >= 0.65


@pytest.mark.parametrize("half", ["text only", "image only"])
def test_half_a_query_finds_far_less(benchmark, rankings, half):
    assert mean(benchmark, rankings[half], "hit@1") < 0.35


def test_neither_color_histograms_nor_random_weights_find_exact_answers(benchmark):
    untrained = VisualizedBGE(*new_encoder(1), name="untrained")
    assert mean(benchmark, color_rankings(benchmark), "hit@1") < 0.15
    assert mean(benchmark, encoder_rankings(benchmark, untrained)["composed"], "hit@1") < 0.15


def test_the_demo_reranker_improves_hits_and_ndcg_and_gives_true_reasons(benchmark, rankings, vlm):
    some = benchmark.subset(range(0, len(benchmark.queries), scaled(fast=2, full=1)))
    reranking = rerank(some, rankings["composed"], vlm)
    hits = changes(some, reranking, "hit@1")["all"]
    assert hits.after > hits.before + 0.05
    assert changes(some, reranking, "nDCG@9")["all"].low > 0
    assert np.mean(list(reranking.truthful.values())) >= 0.85


def test_a_reranker_that_sees_other_images_or_has_random_weights_does_not_help(benchmark, rankings, vlm):
    few = benchmark.subset(range(0, len(benchmark.queries), scaled(fast=8, full=4)))
    untrained = Phi3Vision(*new_reranker(1), RANKING_CONFIG)
    for model, moved in ((vlm, 4), (untrained, 0)):
        change = changes(few, rerank(few, rankings["composed"], model, moved=moved), "hit@1")["all"]
        assert change.after < change.before + 0.05
