"""How good a search is: judged queries in, measures with intervals, a page and a comparison out."""

from __future__ import annotations

from .dataset import Judged, JudgedQuery, together
from .evaluator import evaluate
from .readers import read_judged
from .result import Evaluation, Outcome

__all__ = ["Evaluation", "Judged", "JudgedQuery", "Outcome", "evaluate", "read_judged", "together"]
