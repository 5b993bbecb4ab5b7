"""The command: ``python -m examples.train_demo_models encoder`` or ``… reranker``. Out: model and table.

An interrupted run goes on where it stopped; a GPU is used when there is one.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

import mmrag
from examples.train_demo_models.encoder import new_encoder, train_encoder
from examples.train_demo_models.report_encoder import Exam, by_color, by_encoder, encoder_table, set_exam
from examples.train_demo_models.report_reranker import Reranking, change_table, rerank_exam
from examples.train_demo_models.reranker import RANKING_CONFIG, new_reranker, train_reranker
from examples.train_demo_models.specimens import draw_specimens
from mmrag.embedding.visualized_bge.model import VisualizedBGE
from mmrag.vision.phi3.model import Phi3Vision

logger = logging.getLogger("examples.train_demo_models")

_SEEN, _LISTED = 60_000, 20_000  # images to learn to see from, and to make lists of
_ENCODER = Path(mmrag.__file__).parent / "embedding" / "visualized_bge" / "demo"
_RERANKER = Path(mmrag.__file__).parent / "vision" / "phi3" / "demo"
_CONTROLS = 200  # queries of a control


def main() -> None:
    """Train what the command line names, then measure it."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    work: Path = options.work
    if options.model == "encoder":
        folder = options.out or _ENCODER
        if not options.measure:
            seen = draw_specimens(work / "specimens", _SEEN, seed=1)
            train_encoder(seen, work, folder, seed=options.seed)
        measure_encoder(work, folder)
    else:
        folder = options.out or _RERANKER
        if not options.measure:
            seen = draw_specimens(work / "specimens", _SEEN, seed=1)
            listed = draw_specimens(work / "specimens", _LISTED, seed=2)
            train_reranker(seen, listed, _ENCODER, work, folder, seed=options.seed)
        measure_reranker(work, folder)


def measure_encoder(work: Path, folder: Path) -> None:
    """Log the encoder's table: it, its two halves, random weights and a color histogram."""
    exam = set_exam(work / "encoder-exam", seed=7001)
    encoder = VisualizedBGE.from_pretrained(folder)
    untrained = VisualizedBGE(*new_encoder(1), name="untrained")
    ways = {
        "picture and words": by_encoder(encoder),
        "words alone": by_encoder(encoder, image=False),
        "picture alone": by_encoder(encoder, words=False),
        "colour histogram": by_color,
        "random weights": by_encoder(untrained),
    }
    row = "%-18s %-16s %4s   %-9s %-6s %-6s"
    logger.info(row, "search by", "queries", "n", "recall@1", "hit@9", "nDCG@9")
    for way, part, figures in encoder_table(exam, ways):
        shares = (figures.recall_at_1, figures.hit_at_9, figures.ndcg_at_9)
        logger.info(row, way, part, figures.queries, *(f"{share:.3f}" for share in shares))


def measure_reranker(work: Path, folder: Path) -> None:
    """Log the reranker's table: before and after, then the controls."""
    exam = set_exam(work / "reranker-exam", queries_of_kind=100, seed=7002)
    encoder = VisualizedBGE.from_pretrained(_ENCODER)
    reranker = Phi3Vision.from_pretrained(folder)
    whole = rerank_exam(exam, encoder, reranker)
    _log_changes("retrieval order", exam, whole)
    named = whole.truthful.mean()
    logger.info("reasons that are true of the best picture: %.3f", named)
    few = exam.part(np.linspace(0, len(exam.queries) - 1, _CONTROLS).astype(int))
    shuffled = rerank_exam(few, encoder, reranker, shown_order=_shuffled)
    _log_changes("random order", few, shuffled)
    _log_changes("pictures moved by 4", few, rerank_exam(few, encoder, reranker, moved=4))
    untrained = Phi3Vision(*new_reranker(1), RANKING_CONFIG)
    _log_changes("random weights", few, rerank_exam(few, encoder, untrained))


def _log_changes(name: str, exam: Exam, reranking: Reranking) -> None:
    for part, top1, ndcg in change_table(exam, reranking):
        logger.info("%-20s %-16s top-1 %s   nDCG@9 %s", name, part, top1, ndcg)


def _shuffled(found: np.ndarray, number: int) -> np.ndarray:
    return np.random.default_rng(number).permutation(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.train_demo_models", description=__doc__)
    parser.add_argument("model", choices=["encoder", "reranker"])
    parser.add_argument("--work", type=Path, default=Path("training"), help="pictures, checkpoints")
    parser.add_argument("--out", type=Path, help="the model's folder (default: the bundled one)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true", help="only measure what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
