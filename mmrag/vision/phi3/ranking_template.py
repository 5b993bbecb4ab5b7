"""Answer templates for rankings: each label has its own slot, or is chosen exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

from mmrag.errors import QueryError
from mmrag.ranking import Ranking
from mmrag.vision.base import RankingConfig
from mmrag.vision.phi3.template import AnswerTemplate, ChoiceSlot, ComputedText, FilledTemplate, GradeSlot, TextSlot

__all__ = ["RankingTemplate"]

_LETTERS = ascii_letters.swapcase()  # capitals first


@dataclass(frozen=True)
class RankingTemplate:
    """Template of an answer that ranks candidates 1..n.

    The slots: ``query`` and ``description 1`` … ``description n``, if candidates are described; ``grade 1`` …
    ``grade n`` for the method ``"grades"``, ``rank 1`` … ``rank n`` for ``"permutation"``, ``rank 1`` for ``"first"``;
    ``reason``, but not for ``"first"``.
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
                grades = _json_object("grades", [(GradeSlot(f"grade {label}"),) for label in self._labels])
                return ("{", *(descriptions or grades), *self._reason())
            case "permutation":
                return ("{", *descriptions, *self._permutation(), *self._reason())
            case "first":
                return ("{", *descriptions, *self._first(), "}")

    def ranking(self, filled: FilledTemplate) -> Ranking:
        """Return the ranking of a filled template; its scores are those of `mmrag.Phi3Vision.rank`."""
        reason = filled.texts.get("reason", "")
        if self.config.describe and self.config.method != "first":
            reason = self._best_description(filled) + reason
        described = self._labels if self.config.describe else ()
        return Ranking(
            order=self._order(filled),
            reason=reason.strip(),
            scores=list(self._scores(filled).values()),
            descriptions=[filled.texts[f"description {label}"].strip() for label in described],
            answer=filled.text,
        )

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
            grade = (', "grade": ', GradeSlot(f"grade {label}")) if self.config.method == "grades" else ()
            return ('{"shows": "', TextSlot(f"description {label}", tokens), '"', *grade, "}")

        candidates = _json_object("candidates", [entry(label) for label in self._labels])
        return ('"wish": "', TextSlot("query", tokens), '", ', *candidates)

    def _permutation(self) -> AnswerTemplate:
        names = [f"rank {rank}" for rank in self._labels]
        opening, between, closing = self._list_syntax
        first, *rest = (ChoiceSlot(name, self._label_names, tuple(names[:index])) for index, name in enumerate(names))
        return (opening, first, *(piece for slot in rest for piece in (between, slot)), f"{closing}, ")

    def _first(self) -> AnswerTemplate:
        opening, between, closing = self._list_syntax

        def rest(filled: FilledTemplate) -> str:
            others = [self._label_names[label - 1] for label in self._order(filled)[1:]]
            return between.join(["", *others]) + closing

        return opening, ChoiceSlot("rank 1", self._label_names), ComputedText(rest)

    def _reason(self) -> AnswerTemplate:
        # The template names the best candidate and its description, so that the reason is about it.
        best = ComputedText(lambda filled: str(self._order(filled)[0]))
        description = ComputedText(self._best_description, self.config.max_description_tokens)
        described = (description,) if self.config.describe else ()
        return ('"best": ', best, ', "reason": "', *described, TextSlot("reason", self.config.max_reason_tokens), '"}')

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
    pieces: AnswerTemplate = (f'"{name}": {{',)
    for label, value in enumerate(values, start=1):
        pieces = (*pieces, f'"{label}": ', *value, ", " if label < len(values) else "}, ")
    return pieces
