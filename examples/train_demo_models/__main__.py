"""Command line: train a demo model and report its metrics; an interrupted run resumes."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import mmrag
from examples.train_demo_models.encoder import train_encoder
from examples.train_demo_models.report import report_encoder, report_reranker
from examples.train_demo_models.reranker import train_reranker
from examples.train_demo_models.training_images import draw_training_images

ENCODER = Path(mmrag.__file__).parent / "embedding" / "visualized_bge" / "demo"
RERANKER = Path(mmrag.__file__).parent / "vision" / "phi3" / "demo"
VISION_IMAGES, RANKING_IMAGES = 60_000, 20_000


def main() -> None:
    """Train and report the model that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m examples.train_demo_models", description=__doc__)
    parser.add_argument("model", choices=["encoder", "reranker"])
    parser.add_argument("--work", type=Path, default=Path("training"), help="folder of images and checkpoints")
    parser.add_argument("--out", type=Path, help="folder of the model (default: the bundled one)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report-only", action="store_true", help="report the model as it is, without training")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    folder = options.out or (ENCODER if options.model == "encoder" else RERANKER)
    if not options.report_only:
        images = draw_training_images(options.work / "images", VISION_IMAGES, seed=1)
        if options.model == "encoder":
            train_encoder(images, options.work, folder, seed=options.seed)
        else:
            ranked = draw_training_images(options.work / "images", RANKING_IMAGES, seed=2)
            train_reranker(images, ranked, ENCODER, options.work, folder, seed=options.seed)
    if options.model == "encoder":
        report_encoder(options.work, folder)
    else:
        report_reranker(options.work, ENCODER, folder)


if __name__ == "__main__":
    main()
