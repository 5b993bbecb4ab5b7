"""Benchmark of Visualized BGE: items per second in batches, in bfloat16 and from the cache, as ratios.

python tests/benchmarks/bench_embedding.py [FOLDER or NAME] [--images N] [--device DEVICE]

Without an encoder: one of the size of base-en-v1.5 with random weights, which is as fast.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, BertConfig

from mmrag import Query, VisualizedBGE
from mmrag.embedding.base import EncoderItem
from mmrag.embedding.hub import PRETRAINED_MODELS
from mmrag.embedding.visualized_bge.modeling import JointEncoder

GOLDEN = Path(__file__).parents[1] / "golden" / "visualized_bge" / "base-tiny"
WORDS = ("make", "the", "background", "dark", "at", "night", "with", "a", "image", "here")


def main() -> None:
    """Print each case beside what it is better than."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(". ")[0])
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # the random encoder borrows a small vocabulary
    torch.set_num_threads(1)
    encoder = _encoder(options.encoder, options.device)
    quick = _in_bfloat16(encoder)
    images = _images(options.images)
    texts = [" ".join(np.random.default_rng(seed).permutation(WORDS)) for seed in range(32)]
    first, second = (
        [Query(text, image=image) for text, image in zip(words, images, strict=False)] for words in (texts, texts[::-1])
    )
    clock = "CPU time, one thread" if encoder.device.type == "cpu" else "wall time"
    _print(f"{encoder.info.name} on {encoder.device}, {clock}")
    one_by_one, batched = {"batch_size": 1}, {"batch_size": 32}

    text = _speed("texts one by one", encoder, texts, one_by_one)
    texts_batched = _speed("texts in batches", encoder, texts, batched, text)
    image = _speed("images one by one", encoder, images, one_by_one)
    images_batched = _speed("images in batches", encoder, images, batched, image)
    composed = _speed("image + text, new image", encoder, first, one_by_one)
    encoder.encode(images)
    _speed("image + text, known image", encoder, second, one_by_one, composed, forget=False)
    _speed("bfloat16: texts in batches", quick, texts, batched, texts_batched)
    _speed("bfloat16: images in batches", quick, images, batched, images_batched)
    exact, near = encoder.encode(images), quick.encode(images)
    _print(f"bfloat16 moves an image's vector by {np.abs(exact - near).max():.1e} at most")


def _speed(
    case: str,
    encoder: VisualizedBGE,
    items: Sequence[EncoderItem],
    how: dict[str, int],
    alternative: float | None = None,
    *,
    forget: bool = True,
) -> float:
    encoder.encode(items[:1], **how)
    if forget:
        encoder = VisualizedBGE(encoder.network, encoder.tokenizer, name=encoder.info.name)
    clock: Callable[[], float] = time.process_time if encoder.device.type == "cpu" else time.perf_counter
    start = clock()
    encoder.encode(items, **how)
    speed = len(items) / (clock() - start)
    ratio = f"  {speed / alternative:5.2f} x" if alternative else ""
    _print(f"{case:32} {speed:8.2f} / s{ratio}")
    return speed


def _encoder(name: str | None, device: str) -> VisualizedBGE:
    if name is not None:
        return VisualizedBGE.from_pretrained(name, device=device)
    torch.manual_seed(0)
    network = JointEncoder(BertConfig(), PRETRAINED_MODELS["base-en-v1.5"].vision_config).to(device)
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "text")
    return VisualizedBGE(network, tokenizer, name="random weights, base-en-v1.5's size")


def _in_bfloat16(encoder: VisualizedBGE) -> VisualizedBGE:
    network = copy.deepcopy(encoder.network)
    for parameter in network.parameters():
        parameter.data = parameter.data.bfloat16()
    return VisualizedBGE(network, encoder.tokenizer, name=encoder.info.name)


def _images(n: int) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 256, (500, 500, 3), np.uint8)) for _ in range(n)]


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
