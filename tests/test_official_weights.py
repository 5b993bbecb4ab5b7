"""The official weights, where somebody has them: MMRAG_WEIGHTS=FOLDER pytest -m weights.

FOLDER holds the published files, and what is missing is skipped:

visualized-bge-base/         Visualized_base_en_v1.5.pth, text/ (of BAAI/bge-base-en-v1.5)
visualized-bge-m3/           Visualized_m3.pth, text/ (of BAAI/bge-m3)
Phi-3-vision-128k-instruct/  as on the hub
Phi-3.5-vision-instruct/     as on the hub
imgs/                        of FlagEmbedding's research/visual_bge: what its README shows
"""

from __future__ import annotations

import pytest
from PIL import Image

from mmrag.query import Query

pytestmark = pytest.mark.weights

# Printed with four places; on which device and in which precision they were made, nobody says.
TOLERANCE = 1e-3

AT_NIGHT = "Make the background dark, as if the camera has taken the photo at night"
DRAWN_BY_A_HORSE = "一匹马牵着这辆车"
BRIDGE = "Are there sidewalks on both sides of the Mid-Hudson Bridge?"
ABOUT_IT = ("The Mid-Hudson Bridge, spanning the Hudson River between Poughkeepsie and Highland.", "wiki_candi_1.jpg")
ENCODERS = {  # name: its sizes, as dim, image tokens, longest text, longest text beside an image
    "visualized-bge-base": (768, 196, 512, 316),
    "visualized-bge-m3": (1024, 256, 8192, 7938),
}
COSINES = [  # encoder, query, candidate, what upstream's README prints
    ("visualized-bge-base", (AT_NIGHT, "cir_query.png"), ("", "cir_candi_1.png"), 0.8750),
    ("visualized-bge-base", (AT_NIGHT, "cir_query.png"), ("", "cir_candi_2.png"), 0.7816),
    ("visualized-bge-base", (BRIDGE, None), ABOUT_IT, 0.6932),
    ("visualized-bge-base", (BRIDGE, None), ("Golden_Gate_Bridge", "wiki_candi_2.jpg"), 0.4441),
    ("visualized-bge-m3", (DRAWN_BY_A_HORSE, "cir_query.png"), ("", "cir_candi_1.png"), 0.7026),
    ("visualized-bge-m3", (DRAWN_BY_A_HORSE, "cir_query.png"), ("", "cir_candi_2.png"), 0.8075),
]
VISION = ["Phi-3-vision-128k-instruct", "Phi-3.5-vision-instruct"]


@pytest.fixture(scope="module")
def encoder(official, request):
    from mmrag.embedding import VisualizedBGE

    return VisualizedBGE.from_pretrained(official(request.param))


@pytest.fixture(scope="module")
def vision(official, request):
    from mmrag.vision.phi3.model import Phi3Vision

    return Phi3Vision.from_pretrained(official(request.param), dtype="bfloat16")


@pytest.mark.parametrize(("encoder", "sizes"), ENCODERS.items(), indirect=["encoder"])
def test_an_official_encoder_loads_with_every_tensor_and_has_its_published_sizes(encoder, sizes):
    network = encoder.network
    found = network.dim, network.vision_config.tokens, network.text_limit, network.composed_limit
    assert found == sizes


@pytest.mark.parametrize("encoder", ENCODERS, indirect=True)
def test_its_rope_tables_are_those_of_the_file_rounded_to_half_precision(encoder):
    for table in encoder.network.tower.rope.buffers():
        assert table.equal(table.half().float())


@pytest.mark.parametrize("encoder", ENCODERS, indirect=True)
def test_similar_images_have_similar_vectors(encoder):
    mug, cup, law = encoder.encode(["a red mug", "a red cup", "the history of tax law"])
    assert float(mug @ cup) > float(mug @ law) + 0.1


@pytest.mark.parametrize(("encoder", "query", "candidate", "cosine"), COSINES, indirect=["encoder"])
def test_it_gives_the_cosines_that_its_authors_print(official, encoder, query, candidate, cosine):
    images = official("imgs")
    one, other = encoder.encode([Query(text, name and images / name) for text, name in (query, candidate)])
    assert float(one @ other) == pytest.approx(cosine, abs=TOLERANCE)


@pytest.mark.parametrize("vision", VISION, indirect=True)
def test_phi_3_vision_loads_whole_and_has_its_published_sizes(vision):
    config, vocabulary = vision.network.config, vision.processor.tokenizer
    assert (config.context_length, config.original_context_length) == (131_072, 4_096)
    assert vision.network.lm_head.weight.shape == (32_064, 3_072)
    assert vocabulary.image_token_id == 32_044
    assert set(vocabulary.stop_token_ids) == {32_000, 32_001, 32_007}
    # 8,293,242,880 bytes of bfloat16, less the tower's last layer and norm, which nothing uses.
    used = sum(tensor.numel() for tensor in vision.network.parameters())
    assert used == 8_293_242_880 // 2 - 12_596_224 - 2_048


@pytest.mark.parametrize("vision", VISION, indirect=True)
@pytest.mark.parametrize("color", ["red", "blue"])
def test_it_says_what_it_sees(vision, color):
    asked = [{"role": "user", "content": "Which color is this? Answer with one word."}]
    answer = vision.chat(asked, [Image.new("RGB", (672, 672), color)], max_new_tokens=8)
    assert color in answer.lower()


@pytest.mark.parametrize("vision", VISION, indirect=True)
def test_it_ranks_what_it_sees(vision):
    from mmrag.rerank import ListwiseReranker

    shown = [Image.new("RGB", (336, 336), color) for color in ("gray", "blue", "red", "white")]
    found = ListwiseReranker(vision).rerank(Query("a red square"), shown)
    assert sorted(found.ranking.order) == [1, 2, 3, 4]
    assert found.ranking.order[0] == 3
