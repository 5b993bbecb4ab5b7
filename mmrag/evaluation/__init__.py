"""How good a search is: judged queries in, measures with intervals, a page and a comparison out."""

from __future__ import annotations

from .dataset import Judged, JudgedQuery, together
from .readers import read_judged
from .result import Evaluation, Outcome
from .evaluator import evaluate

__all__ = [
    "Evaluation",
    "Judged",
    "JudgedQuery",
    "Outcome",
    "evaluate",
    "read_judged",
    "together",
]
