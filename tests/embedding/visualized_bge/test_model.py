"""Visualized BGE encodes to unit vectors, in input order and reproducibly, and warns of what it cuts."""

from __future__ import annotations

import copy
import io
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mmrag.embedding import VisualizedBGE
from mmrag.embedding.visualized_bge.checkpoint import save_checkpoint
from mmrag.embedding.visualized_bge.modeling import VisionTower
from mmrag.errors import EncodeError, SettingError
from mmrag.query import Query

LAST_BITS = 1e-6


def swatch(color: str) -> Image.Image:
    return Image.new("RGB", (40, 30), color)


@pytest.fixture
def tower_batches(monkeypatch):
    """Number of images in each call of the vision tower."""
    seen = []
    forward = VisionTower.forward

    def counting(self, pixels):
        seen.append(len(pixels))
        return forward(self, pixels)

    monkeypatch.setattr(VisionTower, "forward", counting)
    return seen


def test_vectors_are_single_precision_and_of_length_one(encoder, base):
    vectors = encoder.encode(base.items)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(base.items), encoder.info.dim) == (26, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_items_make_no_vectors(encoder):
    assert encoder.encode([]).shape == (0, 64)


def test_every_kind_of_image_source_gives_the_same_vector(encoder, base):
    path = base.folder / "images" / "rgb.png"
    sources = [path, path.read_bytes(), io.BytesIO(path.read_bytes()), Image.open(path)]
    queries = [Query(image=path), Query(image=str(path))]
    vectors = encoder.encode([*sources, *queries], batch_size=2)
    assert np.abs(vectors - vectors[0]).max() <= LAST_BITS


@pytest.mark.parametrize("form", ["{}", "![]({})", r"\![]({})"])
def test_a_string_is_a_text_even_if_it_holds_a_path_or_markdown(encoder, base, monkeypatch, form):
    path = base.folder / "images" / "rgb.png"
    (image,) = encoder.encode([path])
    monkeypatch.setattr("mmrag.images.load.read_bytes", lambda source, policy: pytest.fail(f"{source} was opened"))
    (text,) = encoder.encode([form.format(path)])
    assert text @ image < 0.99


def test_the_same_call_gives_the_same_bits(encoder, base):
    for batch_size in (3, 8):
        first = encoder.encode(base.items, batch_size=batch_size)
        assert np.array_equal(encoder.encode(base.items, batch_size=batch_size), first)


def test_the_same_call_gives_the_same_bits_with_more_images_than_the_cache_holds(base):
    encoder = base.encoder(cached_images=5)
    images = [swatch(f"rgb({step}, 90, 10)") for step in range(0, 240, 30)]
    first = encoder.encode(images, batch_size=3)
    assert np.array_equal(encoder.encode(images, batch_size=3), first)


def test_a_repeated_item_has_one_vector(encoder, base):
    items = [item for item in base.items for _ in range(3)]
    vectors = encoder.encode(items, batch_size=7).reshape(len(base.items), 3, -1)
    assert np.array_equal(vectors, vectors[:, :1].repeat(3, axis=1))


def test_train_mode_is_switched_off_before_encoding(encoder, base):
    encoder.network.train()
    assert base.error(encoder) <= 1e-5
    assert not any(module.training for module in encoder.network.modules())


def test_encoding_keeps_no_gradients(encoder):
    encoder.encode(["a"])
    assert all(weight.grad is None for weight in encoder.network.parameters())


def test_threads_can_share_an_encoder(encoder, base):
    alone = encoder.encode(base.items, batch_size=4)
    fresh = base.encoder()
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: fresh.encode(base.items, batch_size=4), range(8)))
    assert all(np.abs(vectors - alone).max() <= LAST_BITS for vectors in together)


def test_progress_counts_items_up_to_all(encoder, base):
    calls = []
    encoder.encode(base.items, batch_size=5, on_progress=lambda *counts: calls.append(counts))
    done = [count for count, _ in calls]
    assert {total for _, total in calls} == {26}
    assert done == sorted(set(done))
    assert done[-1] == 26


def test_long_texts_are_truncated_with_one_warning(encoder, base, caplog):
    image = base.folder / "images" / "rgb.png"
    words, kept, kept_beside = (" ".join(["night"] * n) for n in (600, 510, 314))
    cut = encoder.encode([words, "night", Query(words, image=image)])
    assert [record.message for record in caplog.records] == [
        "2 texts were longer than this encoder reads (512 tokens, 316 beside an image) and cut there: item 0, 2"
    ]
    caplog.clear()
    whole = encoder.encode([kept, "night", Query(kept_beside, image=image)])
    assert not caplog.records
    assert np.abs(cut - whole).max() <= LAST_BITS


def test_the_longest_composed_query_runs_in_both_families(golden, caplog):
    encoder = golden.encoder()
    network = encoder.network
    assert (network.text_limit, network.composed_limit) in [(512, 316), (8192, 7938)]
    image = golden.folder / "images" / "rgb.png"
    text = " ".join(["night"] * network.composed_limit)
    assert np.isfinite(encoder.encode([Query(text, image=image)])).all()
    assert str(network.composed_limit) in caplog.text


def test_unknown_words_are_listed_once_as_written(encoder, caplog):
    assert encoder.unknown_words("a 龘 at night 🤡, 龘!") == ["龘", "🤡"]
    assert encoder.unknown_words("make the background dark") == []
    encoder.encode(["a 龘 at night", "🤡 and 龘", "night"])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "lacks '龘', '🤡'" in record.message


def test_a_second_text_about_a_cached_image_needs_no_vision_tower(encoder, tower_batches):
    leopard = swatch("orange")
    first = encoder.encode([Query("phone case with this", image=leopard)])
    again = encoder.encode([Query("tote bag with this", image=leopard.copy())])
    assert tower_batches == [1]
    assert first[0] @ again[0] < 0.9999


def test_an_image_of_many_queries_passes_the_vision_tower_once(encoder, tower_batches):
    queries = [Query(f"{word} with this", image=swatch("orange")) for word in "abcde"]
    encoder.encode([*queries, swatch("teal")])
    assert tower_batches == [2]


def test_images_with_equal_pixels_after_resizing_pass_the_vision_tower_once(encoder, tower_batches):
    encoder.encode([Image.new("RGB", (80, 60), "teal")])
    encoder.encode([swatch("teal"), swatch("red")])
    assert tower_batches == [1, 2]
    encoder.encode([Image.new("RGB", (400, 300), "teal")])
    assert tower_batches == [1, 2]


def test_evicted_images_pass_the_vision_tower_again(base, tower_batches):
    small = base.encoder(cached_images=1)
    for color in ("red", "blue", "blue", "red"):
        small.encode([swatch(color)])
    assert tower_batches == [1, 1, 1]


def test_a_damaged_image_raises_with_its_index(encoder, base, tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes((base.folder / "images" / "rgb.png").read_bytes()[:500])
    with pytest.raises(EncodeError, match=r"item 2: .*torn\.png") as caught:
        encoder.encode(["a", swatch("red"), torn, swatch("blue")])
    assert caught.value.index == 2
    assert copy.copy(caught.value).index == 2


def test_a_thin_strip_is_refused_before_it_fills_the_memory(encoder):
    with pytest.raises(EncodeError, match=r"item 0: .*1 x 30000 is a strip"):
        encoder.encode([Image.new("L", (1, 30000))])


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_raises_with_its_index(encoder, text):
    with pytest.raises(EncodeError, match="item 1 is empty") as caught:
        encoder.encode(["a", text])
    assert caught.value.index == 1


@pytest.mark.parametrize("nothing", [None, 3, object()])
def test_an_item_of_an_unknown_type_raises_with_its_index(encoder, nothing):
    with pytest.raises(EncodeError, match="item 1"):
        encoder.encode(["a", nothing])


@pytest.mark.parametrize("single", ["one text", Query("one"), b"image"])
def test_a_single_item_instead_of_a_list_is_refused(encoder, single):
    with pytest.raises(EncodeError, match=re.escape("give a list")):
        encoder.encode(single)


def test_a_batch_size_of_zero_is_refused(encoder):
    with pytest.raises(SettingError, match="batch_size=0"):
        encoder.encode(["a"], batch_size=0)


def test_info_holds_name_dimension_and_kinds(encoder):
    assert (encoder.info.name, encoder.info.dim) == ("base-tiny", 64)
    assert encoder.info.kinds == {"text", "image", "composed"}


def test_the_fingerprint_is_that_of_the_weights_wherever_they_lie_and_whatever_the_dtype(base, xlm_roberta, tmp_path):
    encoder = base.encoder()
    save_checkpoint(encoder.network, encoder.tokenizer, tmp_path / "copy")
    same = [VisualizedBGE.from_pretrained(folder, dtype="bfloat16") for folder in (base.folder, tmp_path / "copy")]
    assert {encoder.info.fingerprint} == {other.info.fingerprint for other in same}
    assert encoder.info.fingerprint != xlm_roberta.encoder().info.fingerprint


def test_the_fingerprint_changes_when_any_tensor_is_trained(encoder):
    for parameter in list(encoder.network.parameters())[:: len(list(encoder.network.parameters())) // 5]:
        before = VisualizedBGE(encoder.network, encoder.tokenizer, name="a").info.fingerprint
        parameter.data += 1e-3
        assert VisualizedBGE(encoder.network, encoder.tokenizer, name="a").info.fingerprint != before


def test_a_folder_may_be_named_from_home(base, monkeypatch):
    monkeypatch.setenv("HOME", str(base.folder.parent))
    assert VisualizedBGE.from_pretrained(f"~/{base.folder.name}").info.name == base.folder.name
