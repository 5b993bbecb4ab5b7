"""Evaluation of a search on queries with known answers: metrics with intervals, a report, a comparison of two runs."""

from __future__ import annotations

from mmrag.evaluation.dataset import EvalDataset, EvalQuery, merge_datasets
from mmrag.evaluation.evaluation import Evaluation
from mmrag.evaluation.evaluator import evaluate
from mmrag.evaluation.readers import read_dataset
from mmrag.evaluation.result import QueryResult

__all__ = ["EvalDataset", "EvalQuery", "Evaluation", "QueryResult", "evaluate", "merge_datasets", "read_dataset"]
