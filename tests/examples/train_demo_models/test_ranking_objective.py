"""Training inputs of the demo reranker equal those of inference: pixels, tokens and ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from examples.train_demo_models.attribute_head import AttributeHead
from examples.train_demo_models.composites import CELL, COLUMNS, MOST, CompositeBuilder
from examples.train_demo_models.ranking_objective import RankingObjective
from examples.train_demo_models.reranker import RANKING_CONFIG, new_reranker
from examples.train_demo_models.targets import GRADES, AttributeTargets, TargetTemplate
from examples.train_demo_models.vocabulary import compound
from mmrag.datasets import COLORS, PATTERNS, PRODUCTS
from mmrag.rerank.composite import compose, draw_label, draw_query
from mmrag.vision.phi3.ranking_template import RankingTemplate
from mmrag.vision.phi3.template import encode_template


@pytest.fixture(scope="module")
def reranker():
    return new_reranker(seed=0)


@pytest.mark.parametrize("n", [9, 4])
@pytest.mark.parametrize("worded", [False, True])
def test_crops_are_those_of_the_composite(training_images, reranker, n, worded):
    _, processor = reranker
    rows = np.arange(10, 10 + n)
    crops = CompositeBuilder(training_images, processor.image_processor).build(
        [None if worded else 3], rows[None]
    )  # (1, cells, 3, side, side)
    composite = compose(None, [Image.new("RGB", (CELL, CELL))] * n, cell=CELL, columns=COLUMNS, min_cells=MOST)
    query = draw_query(None, CELL) if worded else Image.fromarray(training_images.queries[3])
    cells = [Image.fromarray(training_images.candidates[row]) for row in rows]
    numbered = [query, *(draw_label(cell, label) for label, cell in enumerate(cells, 1))]
    for place, cell in enumerate(numbered):
        composite.paste(cell, (place % COLUMNS * CELL, place // COLUMNS * CELL))
    assert torch.equal(crops[0], processor.image_processor.preprocess(composite).pixels)


def test_many_composites_are_laid_out_like_one(training_images, reranker):
    network, processor = reranker
    objective = RankingObjective(network, processor, RANKING_CONFIG, _attribute_head(network), training_images)
    crops = objective.cutter.build([3, None], np.arange(18).reshape(2, 9))
    sizes = torch.tensor([[2 * CELL, COLUMNS * CELL]] * 2)
    with torch.no_grad():
        expected = network.image_embedding(crops, sizes)
        patches = network.image_embedding.crop_features(crops.flatten(0, 1)).unflatten(0, crops.shape[:2])
        together = objective._raster(patches[:, 1:], patches[:, 0], projected=False)
    assert torch.allclose(network.image_embedding.projection(together).flatten(0, 1), expected, atol=1e-6)


def test_a_filled_form_is_the_answer_that_the_script_dictates(reranker):
    _, processor = reranker
    n, tokenizer = 3, processor.tokenizer
    shown = torch.tensor([[[0, 1, 2], [6, 3, 4], [10, 11, 11]]])
    words = AttributeTargets(
        target=torch.tensor([[len(COLORS), 5, 6]]),
        candidates=shown,
        grades=torch.tensor([[0, 3, 1]]),
        best=torch.tensor([1]),
    )
    fillings = {"query": f" any {PATTERNS[5]} {compound(PRODUCTS[6])}"}
    for label, (color, pattern, product) in enumerate(shown[0].tolist(), start=1):
        names = COLORS[color], compound(PATTERNS[pattern]), compound(PRODUCTS[product])
        fillings[f"description {label}"] = " " + " ".join(names)
        fillings[f"grade {label}"] = str(GRADES[words.grades[0, label - 1]])
    fillings["reason"] = " matches"
    template = RankingTemplate(n, RANKING_CONFIG).build()
    dictated = encode_template(template, fillings, tokenizer)
    assert TargetTemplate(n, RANKING_CONFIG, tokenizer).fill(words).tolist() == [dictated.ids]


def test_the_frame_of_an_answer_costs_few_tokens(reranker):
    _, processor = reranker
    form = TargetTemplate(MOST, RANKING_CONFIG, processor.tokenizer)
    assert processor.tokenizer.backend.token_to_id("<unk>") not in form.ids
    assert len(form.ids) == 4 + 6 * MOST + 3 + 5


def _attribute_head(network):
    return AttributeHead(4 * network.config.vision_config.hidden_size, (13, 12, 11, 10), (1.0, 1.0, 1.0, 1.0))
