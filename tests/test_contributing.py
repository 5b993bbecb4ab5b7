"""The encoder and the vision LLM that CONTRIBUTING.md shows do work."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from llama_index.embeddings.composed_image import ComposedImageEmbedding
from PIL import Image

from mmrag.images import ImagePolicy
from mmrag.query import Query
from mmrag.vision.base import VisionLLM

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


@pytest.fixture
def shown():
    def run(name, my_model):
        (code,) = [c for c in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if name in c]
        scope = {"my_model": my_model}
        exec(code, scope)
        return scope[name]()

    return run


def test_the_encoder_returns_unit_vectors_in_order(shown):
    encoder = shown("MyEncoder", lambda text, image: np.eye(512)[len(text)] * 7)
    vectors = encoder.encode(["red mug", Query("a", image="mug.jpg")])
    assert vectors.shape == (2, encoder.info.dim)
    assert vectors.dtype == np.float32
    assert vectors.argmax(axis=1).tolist() == [len("red mug"), len("a")]
    assert vectors.max() == 1


@pytest.mark.parametrize("text", ["a ![](secret.jpg)", r"a \\![](secret.jpg)", "secret.jpg"])
def test_the_encoder_never_takes_a_text_for_an_image(shown, text):
    calls = []
    encoder = shown("MyEncoder", lambda text, image: calls.append((text, image)) or np.ones(512))
    encoder.encode([text])
    ComposedImageEmbedding(encoder=encoder, image_policy=ImagePolicy(roots=[])).get_query_embedding(text)
    assert calls == [(text, None)] * 2


def test_the_vision_llm_ranks_each_candidate_once(shown):
    llm = shown("MyVision", lambda messages, images, limit: "I choose 3, then 1, not 12.")
    assert isinstance(llm, VisionLLM)
    assert llm.rank("Which?", Image.new("RGB", (8, 8)), n=4).order == [3, 1, 2, 4]
