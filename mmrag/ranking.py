"""Complete rankings from the labels or grades of a vision LLM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Ranking", "ranking_from_grades", "ranking_from_labels"]


class Ranking(BaseModel):
    """Candidates 1..n, best first, each exactly once.

    Attributes
    ----------
    order : list of int
        Labels, best first. Labels are 1-based and numbered in retrieval order.
    reason : str
        The model's reason for the first one. Default: empty.
    scores : list of float
        One score per label, ``scores[0]`` for label 1. Default: empty.
    repairs : list of str
        One message per repair of the model's answer. Empty if the answer was complete.
    descriptions : list of str
        The model's description of each candidate, by label. Default: empty.
    answer : str
        The model's answer before any repair.
    """

    model_config = ConfigDict(frozen=True)

    order: list[int]
    reason: str = ""
    scores: list[float] = Field(default_factory=list[float])
    repairs: list[str] = Field(default_factory=list[str])
    descriptions: list[str] = Field(default_factory=list[str])
    answer: str = ""

    @model_validator(mode="after")
    def _is_a_permutation(self) -> Ranking:
        n = len(self.order)
        if sorted(self.order) != list(range(1, n + 1)):
            raise ValueError(f"{self.order} is no permutation of 1..{n}: complete it with ranking_from_labels")
        for name, values in (("scores", self.scores), ("descriptions", self.descriptions)):
            if values and len(values) != n:
                raise ValueError(f"{len(values)} {name} for {n} candidates: give one a label, or none")
        return self


def ranking_from_labels(
    answered: Iterable[int], n: int, *, reason: str = "", scores: Sequence[float] = (), answer: str = ""
) -> Ranking:
    """Build a ranking from the labels of an answer; missing labels follow in retrieval order.

    Repeated labels count once, at their first position; labels outside 1..n are dropped.

    >>> ranking_from_labels([7, 8, 5, 3, 2, 4, 1, 6], n=9).order
    [7, 8, 5, 3, 2, 4, 1, 6, 9]
    """
    chosen: dict[int, None] = {}  # ordered
    faults: dict[str, list[int]] = {"out of range": [], "repeated": []}
    for label in answered:
        if not 1 <= label <= n:
            faults["out of range"].append(label)
        elif label in chosen:
            faults["repeated"].append(label)
        else:
            chosen[label] = None
    faults["missing"] = [label for label in range(1, n + 1) if label not in chosen]
    repairs = [f"{fault}: {', '.join(map(str, labels))}" for fault, labels in faults.items() if labels]
    order = [*chosen, *faults["missing"]]
    return Ranking(order=order, reason=reason, scores=list(scores), repairs=repairs, answer=answer)


def ranking_from_grades(grades: Mapping[int, float], n: int, *, reason: str = "", answer: str = "") -> Ranking:
    """Build a ranking from grades, highest first; equal grades keep retrieval order.

    Ungraded candidates go last and score 0.
    """
    graded = {label: grade for label, grade in grades.items() if 1 <= label <= n}
    by_grade = sorted(graded, key=lambda label: (-graded[label], label))
    scores = [graded.get(label, 0.0) for label in range(1, n + 1)]
    return ranking_from_labels(by_grade, n, reason=reason, scores=scores, answer=answer)
