"""The answer a remote vision LLM has to give. In: n. Out: a pydantic model, or a grammar.

JSON Schema cannot say "permutation" to common decoders, but it can say "one grade for each label".
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, create_model, model_validator

from mmrag.ranking import Ranking, ranking_from_grades, ranking_from_labels
from mmrag.vision.parsing import LONGEST_REASON

__all__ = ["MOST_IN_A_GRAMMAR", "GradedAnswer", "OrderedAnswer", "grades_for", "order_grammar"]

MOST_IN_A_GRAMMAR = 12  # the grammar has 2^n rules: 4095 here, compiled in a second

Grade = Annotated[int, Field(ge=0, le=10)]


class GradedAnswer(BaseModel):
    """One grade from 0 to 10 for each label, then a reason; `grades_for` adds the labels."""

    # An error goes back to the model and into logs: it names the fault, not what was written.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    def ranking(self, answer: str) -> Ranking:
        """Sort the labels by their grades."""
        given = self.model_dump()
        labels = [int(key) for key in given if key.isdecimal()]
        ranking = ranking_from_grades(
            {label: given[str(label)] for label in labels},
            len(labels),
            reason=given["reason"].strip()[:LONGEST_REASON],
            answer=answer,
        )
        shown = [given[_shows(label)] for label in labels if _shows(label) in given]
        return ranking.model_copy(update={"descriptions": shown})


class OrderedAnswer(BaseModel):
    """Every label once, best first, then a reason; n comes with the validation context."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    ranking_: list[int] = Field(alias="ranking")
    reason: str

    @model_validator(mode="after")
    def _names_each_label_once(self, info: ValidationInfo) -> OrderedAnswer:
        if repairs := self._ranking(info.context["n"] if info.context else 0).repairs:
            raise ValueError(f"the ranking must name each label once; {'; '.join(repairs)}")
        return self

    def ranking(self, answer: str) -> Ranking:
        """Return the labels as they were ordered."""
        return self._ranking(len(self.ranking_), answer)

    def _ranking(self, n: int, answer: str = "") -> Ranking:
        reason = self.reason.strip()[:LONGEST_REASON]
        return ranking_from_labels(self.ranking_, n, reason=reason, answer=answer)


def grades_for(n: int, *, describe: bool = False) -> type[GradedAnswer]:
    """Make the answer model for ``n`` candidates, each described before it is graded if wished.

    Examples
    --------
    >>> sorted(grades_for(2).model_json_schema()["required"])
    ['1', '2', 'reason']
    """
    fields: dict[str, Any] = {}
    for label in range(1, n + 1):
        if describe:
            fields[_shows(label)] = (str, ...)
        fields[str(label)] = (Grade, ...)
    return create_model("Grades", __base__=GradedAnswer, **fields, reason=(str, ...))


def order_grammar(n: int) -> str:
    """Write the EBNF that only accepts complete rankings of ``n`` labels, for `OrderedAnswer`.

    One rule for each set of labels already used, so that no label can come twice (subset lattice).
    """
    everything = (1 << n) - 1
    rules = [r'root ::= "{\"ranking\": [" s0 "], \"reason\": \"" letter* "\"}"', r'letter ::= [^"\\\x00-\x1f]']
    for used in range(everything):
        free = [label for label in range(n) if not used >> label & 1]
        last = len(free) == 1
        ways = [f'"{x + 1}"' if last else f'"{x + 1}, " s{used | 1 << x}' for x in free]
        rules.append(f"s{used} ::= {' | '.join(ways)}")
    return "\n".join(rules)


def _shows(label: int) -> str:
    return f"{label} shows"
