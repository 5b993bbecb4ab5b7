"""Benchmark of the reranker: one pass over the composite against the two calls of the original demo.

Ours: the image is read once; caption, ranking and reason go on from there, and in the ranking
only the places where there is a choice are decoded. The original flow: a caption call, then a call
that writes the whole list freely, each reading the image anew.

    python tests/benchmarks/bench_rerank.py [--model FOLDER_OR_NAME] [--candidates 9] [--repeats 3]
"""

# ruff: noqa: T201 (a script: its output is what it is for)

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import PIL.Image
import torch

from mmrag.vision.phi3.generation import CachedDecoder
from mmrag.vision.phi3.model import Phi3Vision

GOLDEN = Path(__file__).parents[1] / "golden" / "phi3_vision" / "tiny"
CAPTION = "Describe the query in a few words."
RANK = "Rank the candidates 1 to {n} by how well they fit the query. Answer in JSON, with a reason."


@dataclass
class Meter:
    """Seconds and tokens, apart for reading prompts and for decoding answers."""

    prefill: float = 0.0
    decode: float = 0.0
    read: int = 0
    decoded: int = 0
    passes: int = 0

    @property
    def total(self) -> float:
        return self.prefill + self.decode


def main() -> None:
    options = arguments()
    model = Phi3Vision.from_pretrained(options.model)
    model.ranking_config = replace(model.ranking_config, max_reason_tokens=options.reason)
    n, device = options.candidates, model.network.device
    print(f"{model.name} on {name_of(device)}, {model.network.dtype}, {n} candidates")
    print(f"{'flow':22}{'prefill s':>11}{'decode s':>11}{'read':>8}{'decoded':>9}{'passes':>8}")
    meters: dict[str, list[Meter]] = {"one pass (ours)": [], "two calls (the original)": []}
    for repeat in range(options.repeats + 1):
        composite = PIL.Image.new("RGB", (1344, 1344), (repeat * 40, 90, 120))
        for name, flow in zip(meters, (ours, seed), strict=True):
            meter = measured(model, lambda flow=flow, c=composite: flow(model, c, n, options))
            meters[name] += [meter] if repeat else []  # the first is for warming up
    rows = {name: typical(runs) for name, runs in meters.items()}
    for name, row in rows.items():
        times = f"{row.prefill:11.3f}{row.decode:11.3f}"
        print(f"{name:22}{times}{row.read:8}{row.decoded:9}{row.passes:8}")
    mine, theirs = rows.values()
    print(
        f"the original flow takes {theirs.total / mine.total:.2f} x the time, "
        f"reads {theirs.read / mine.read:.2f} x the tokens, "
        f"and runs {theirs.passes / mine.passes:.2f} x the passes"
    )


def ours(model: Phi3Vision, composite: PIL.Image.Image, n: int, options) -> None:
    model.chat(user_turn(CAPTION), [composite], max_new_tokens=options.caption)
    model.rank(RANK.format(n=n), composite, n)


def seed(model: Phi3Vision, composite: PIL.Image.Image, n: int, options) -> None:
    room = free_list_tokens(model, n, options)
    for text, tokens in ((CAPTION, options.caption), (RANK.format(n=n), room)):
        alone = Phi3Vision(model.network, model.processor, model.ranking_config)  # an empty prefix cache
        alone.chat(user_turn(text), [composite], max_new_tokens=tokens)


def free_list_tokens(model: Phi3Vision, n: int, options) -> int:
    """Tokens of the list that a model has to write itself, reason included."""
    listed = '{"order": [' + ", ".join(map(str, range(1, n + 1))) + '], "best": 1, "reason": ""}'
    return len(model.processor.tokenizer.encode_start(listed)) + options.reason


def measured(model: Phi3Vision, flow) -> Meter:
    """Run ``flow`` and attribute each pass: many tokens at once are reading, one is decoding."""
    meter, read = Meter(), CachedDecoder.step

    def timed(self, ids):
        new = len(self._prompt) + len(ids)
        began = time.perf_counter()
        logits = read(self, ids)  # ends on the CPU, so the device has finished
        seconds = time.perf_counter() - began
        meter.passes += 1
        if self._before_answer:
            meter.prefill, meter.read = meter.prefill + seconds, meter.read + new
        else:
            meter.decode, meter.decoded = meter.decode + seconds, meter.decoded + new
        self._before_answer = False
        return logits

    CachedDecoder.step, CachedDecoder._before_answer = timed, True
    try:
        flow()
    finally:
        CachedDecoder.step = read
        del CachedDecoder._before_answer
    return meter


def typical(runs: list[Meter]) -> Meter:
    return Meter(
        prefill=median(run.prefill for run in runs),
        decode=median(run.decode for run in runs),
        read=round(median(run.read for run in runs)),
        decoded=round(median(run.decoded for run in runs)),
        passes=round(median(run.passes for run in runs)),
    )


def user_turn(text: str):
    return [{"role": "user", "content": text}]


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(GOLDEN), help="folder or name")
    parser.add_argument("--candidates", type=int, default=9)
    parser.add_argument("--caption", type=int, default=20, help="tokens of the caption")
    parser.add_argument("--reason", type=int, default=40, help="most tokens of the reason")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
