"""The shipped demo models still do what their tables say, on a smaller exam of other seeds."""

from __future__ import annotations

import numpy as np
import pytest

from examples.train_demo_models.encoder import new_encoder
from examples.train_demo_models.report_encoder import Figures, by_color, by_encoder, set_exam
from examples.train_demo_models.report_reranker import change_table, rerank_exam
from examples.train_demo_models.reranker import RANKING_CONFIG, new_reranker
from mmrag.embedding.visualized_bge.model import VisualizedBGE
from mmrag.vision.phi3.model import Phi3Vision


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    return set_exam(tmp_path_factory.mktemp("exam"), size=432, queries_of_kind=20, seed=8001)


@pytest.fixture(scope="module")
def encoder():
    return VisualizedBGE.from_pretrained("demo")


@pytest.fixture(scope="module")
def reranker():
    return Phi3Vision.from_pretrained("demo")


def figures(exam, similarity):
    order = np.argsort(-similarity(exam), axis=1, kind="stable")
    return Figures.of(np.take_along_axis(exam.grades, order, axis=1), exam.grades)


def test_the_encoder_finds(exam, encoder):
    found = figures(exam, by_encoder(encoder))
    assert found.hit_at_9 >= 0.97
    assert found.recall_at_1 >= 0.65


@pytest.mark.parametrize("half", ["words", "image"])
def test_half_a_query_finds_far_less(exam, encoder, half):
    alone = by_encoder(encoder, words=half == "words", image=half == "image")
    assert figures(exam, alone).recall_at_1 < 0.35


def test_neither_colors_nor_random_weights_find_anything(exam):
    untrained = VisualizedBGE(*new_encoder(1), name="untrained")
    assert figures(exam, by_color).recall_at_1 < 0.15
    assert figures(exam, by_encoder(untrained)).recall_at_1 < 0.15


def test_the_reranker_helps_and_says_why(exam, encoder, reranker):
    reranking = rerank_exam(exam, encoder, reranker)
    (_, top1, ndcg), *_ = change_table(exam, reranking)
    assert top1.low > 0
    assert ndcg.low > 0
    assert reranking.truthful.mean() >= 0.85


def test_a_reranker_that_sees_other_images_or_nothing_does_not_help(exam, encoder, reranker):
    few = exam.part(np.arange(0, len(exam.queries), 3))
    untrained = Phi3Vision(*new_reranker(1), RANKING_CONFIG)
    for reranking in (rerank_exam(few, encoder, reranker, moved=4), rerank_exam(few, encoder, untrained)):
        (_, top1, _), *_ = change_table(few, reranking)
        assert top1.after < top1.before + 0.05
