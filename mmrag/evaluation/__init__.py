"""Evaluation of a search on queries with known answers: metrics with intervals, a report, a comparison of two runs."""

from __future__ import annotations

from .dataset import EvalDataset, EvalQuery, merge_datasets
from .evaluator import evaluate
from .readers import read_dataset
from .result import Evaluation, QueryResult

__all__ = ["EvalDataset", "EvalQuery", "Evaluation", "QueryResult", "evaluate", "merge_datasets", "read_dataset"]
