"""Answer templates for rankings: each label has its own slot, or is chosen exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from mmrag.errors import QueryError
from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels
from mmrag.vision.config import RankingConfig
from mmrag.vision.phi3.template import (
    AnswerTemplate,
    ChoiceSlot,
    ComputedText,
    FilledTemplate,
    FixedText,
    GradeSlot,
    TextSlot,
)

__all__ = ["RankingTemplate"]

_LETTERS = ascii_uppercase + ascii_lowercase


@dataclass(frozen=True)
class RankingTemplate:
    """Template of an answer that ranks candidates 1..n.

    The slots: ``query`` and ``description 1`` … ``description n``, if candidates are described; ``grade 1`` …
    ``grade n`` for the method ``"grades"``, ``rank 1`` … ``rank n`` for ``"permutation"``, ``rank 1`` for ``"first"``;
    ``reason``, but not for ``"first"``.

    Parameters
    ----------
    n : int
        Number of candidates.
    config : RankingConfig
        Its method, description setting and token limits.
    """

    n: int
    config: RankingConfig

    def __post_init__(self) -> None:
        if self.n < 1 or (self.config.method != "grades" and self.n > len(_LETTERS)):
            raise QueryError(
                f"{self.n} candidates cannot be ranked at once: give 1 to {len(_LETTERS)}, more in windows"
            )

    def build(self) -> AnswerTemplate:
        """Return the template, for `fill_template`."""
        descriptions = self._descriptions() if self.config.describe else ()
        match self.config.method:
            case "grades":
                return (FixedText("{"), *(descriptions or self._grades()), *self._reason())
            case "permutation":
                return (FixedText("{"), *descriptions, *self._permutation(), *self._reason())
            case "first":
                return (FixedText("{"), *descriptions, *self._first(), FixedText("}"))

    def ranking(self, filled: FilledTemplate) -> Ranking:
        """Return the ranking of a filled template.

        Scores are the expected grade (0 to 10) for ``"grades"``, otherwise the probability of being first.
        """
        reason = filled.texts.get("reason", "")
        if self.config.describe and self.config.method != "first":
            reason = self._best_description(filled) + reason
        described = self._labels if self.config.describe else ()
        descriptions = [filled.texts[f"description {label}"].strip() for label in described]
        scores = self._scores(filled)
        if self.config.method == "grades":
            ranking = ranking_from_grades(scores, self.n, reason=reason.strip(), answer=filled.text)
        else:
            ranking = ranking_from_labels(
                self._order(filled), self.n, reason=reason.strip(), scores=list(scores.values()), answer=filled.text
            )
        return ranking.model_copy(update={"descriptions": descriptions})

    @property
    def _labels(self) -> range:
        return range(1, self.n + 1)

    @property
    def _label_names(self) -> tuple[str, ...]:
        # numbers past 9 are two tokens, and "1" would be half of "12": longer lists use letters
        return tuple(map(str, self._labels)) if self.n <= 9 else tuple(_LETTERS[: self.n])

    def _descriptions(self) -> AnswerTemplate:
        tokens = self.config.max_description_tokens

        def entry(label: int) -> AnswerTemplate:
            description = (FixedText('{"shows": "'), TextSlot(f"description {label}", tokens), FixedText('"'))
            grade = (FixedText(', "grade": '), GradeSlot(f"grade {label}"))
            return (*description, *(grade if self.config.method == "grades" else ()), FixedText("}"))

        query = (FixedText('"wish": "'), TextSlot("query", tokens), FixedText('", '))
        return (*query, *_json_object("candidates", [entry(label) for label in self._labels]))

    def _grades(self) -> AnswerTemplate:
        return _json_object("grades", [(GradeSlot(f"grade {label}"),) for label in self._labels])

    def _permutation(self) -> AnswerTemplate:
        names = [f"rank {rank}" for rank in self._labels]
        opening, between, closing = self._list_syntax
        pieces: AnswerTemplate = ()
        for index, name in enumerate(names):
            slot = ChoiceSlot(name, self._label_names, exclude=tuple(names[:index]))
            pieces = (*pieces, FixedText(between if index else opening), slot)
        return (*pieces, FixedText(f"{closing}, "))

    def _first(self) -> AnswerTemplate:
        opening, between, closing = self._list_syntax

        def rest(filled: FilledTemplate) -> str:
            others = [self._label_names[label - 1] for label in self._order(filled)[1:]]
            return between.join(["", *others]) + closing

        return FixedText(opening), ChoiceSlot("rank 1", self._label_names), ComputedText(rest)

    def _reason(self) -> AnswerTemplate:
        # The template names the best candidate and its description, so that the reason is about it.
        best = ComputedText(lambda filled: str(self._order(filled)[0]))
        description = ComputedText(self._best_description, self.config.max_description_tokens)
        return (
            FixedText('"best": '),
            best,
            FixedText(', "reason": "'),
            *((description,) if self.config.describe else ()),
            TextSlot("reason", self.config.max_reason_tokens),
            FixedText('"}'),
        )

    @property
    def _list_syntax(self) -> tuple[str, str, str]:
        """Text before, between and after the labels."""
        if self.n <= 9:
            return '"order": [', ", ", "]"
        # the composite shows numbers, so the answer begins with the meaning of each letter
        names = ", ".join(f'"{name}": {label}' for label, name in enumerate(self._label_names, start=1))
        return f'"names": {{{names}}}, "order": ["', '", "', '"]'

    def _order(self, filled: FilledTemplate) -> list[int]:
        if self.config.method == "permutation":
            return [self._label_names.index(filled.texts[f"rank {rank}"]) + 1 for rank in self._labels]
        scores = self._scores(filled)
        return sorted(scores, key=lambda label: (-scores[label], label))

    def _scores(self, filled: FilledTemplate) -> dict[int, float]:
        if self.config.method == "grades":
            grades = {label: filled.probabilities[f"grade {label}"] for label in self._labels}
            return {label: sum(int(grade) * p for grade, p in odds.items()) for label, odds in grades.items()}
        first = filled.probabilities["rank 1"]
        return {label: first.get(name, 0.0) for label, name in enumerate(self._label_names, start=1)}

    def _best_description(self, filled: FilledTemplate) -> str:
        return filled.texts[f"description {self._order(filled)[0]}"]


def _json_object(name: str, values: Sequence[AnswerTemplate]) -> AnswerTemplate:
    pieces: AnswerTemplate = (FixedText(f'"{name}": {{'),)
    for label, value in enumerate(values, start=1):
        pieces = (*pieces, FixedText(f'"{label}": '), *value, FixedText(", " if label < len(values) else "}, "))
    return pieces
